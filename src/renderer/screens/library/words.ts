/** A model's facts as words: kind, form, method, size. Only words; what stands where is the components'. */
import type { ModelSummary } from '../../../shared/api/models.ts';
import { methodName } from '../../components/method-names.ts';
import { formatLarge } from '../../format.ts';
import * as m from '../../paraglide/messages.js';
import type { Kind } from './model-list.ts';

export const kindNames: Record<ModelSummary['kind'], () => string> = {
  embedded: m.library_kind_embedded,
  added: m.library_kind_added,
  run: m.library_kind_run,
  checkpoint: m.library_kind_checkpoint,
  export: m.library_kind_export,
};

/** Of the filter: many of a kind. */
export const kindsNames: Record<Kind, () => string> = {
  all: m.library_kinds_all,
  embedded: m.library_kinds_embedded,
  added: m.library_kinds_added,
  run: m.library_kinds_run,
  adapter: m.library_kinds_adapter,
  export: m.library_kinds_export,
};

export function formOf({ form, adapterRank }: ModelSummary): string {
  if (form === 'full') return m.library_form_full();
  return adapterRank === null ? 'LoRA' : `LoRA r ${adapterRank}`;
}

export function methodOf({ method }: Pick<ModelSummary, 'method'>): string {
  return method === null ? '–' : methodName(method);
}

export const parametersOf = ({ parameters }: ModelSummary): string => (parameters === null ? '–' : formatLarge(parameters));
