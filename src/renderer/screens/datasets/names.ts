/** Words of this screen for what the contract calls by short names: columns, kinds, splits, formats, roles, commands. */
import type { EditCommand } from '../../../shared/api/datasets.ts';
import type { DatasetFormat, Message, Split } from '../../../shared/dataset.ts';
import { formatCount } from '../../format.ts';
import * as m from '../../paraglide/messages.js';
import type { ColumnId, RowKind } from './columns.ts';

const COLUMNS: Record<ColumnId, () => string> = {
  instruction: m.datasets_column_instruction, input: m.datasets_column_input, output: m.datasets_column_output, prompt: m.datasets_column_prompt,
  completion: m.datasets_column_completion, text: m.datasets_column_text, chosen: m.datasets_column_chosen, rejected: m.datasets_column_rejected,
  best: m.datasets_column_best, worst: m.datasets_column_worst, label: m.datasets_column_label, question: m.datasets_column_question, answer: m.datasets_column_answer,
};
const KINDS: Record<RowKind, () => string> = {
  instruction: m.datasets_kind_instruction, conversation: m.datasets_kind_conversation, completion: m.datasets_kind_completion,
  preference: m.datasets_kind_preference, unpaired: m.datasets_kind_unpaired, ranking: m.datasets_kind_ranking,
  classification: m.datasets_kind_classification, text: m.datasets_kind_text,
};
const SPLITS: Record<Split, () => string> = { train: m.datasets_split_train, validation: m.datasets_split_validation, test: m.datasets_split_test };
const FORMATS: Record<DatasetFormat, () => string> = {
  alpaca: m.datasets_format_alpaca, 'prompt-completion': m.datasets_format_prompt_completion, messages: m.datasets_format_messages,
  sharegpt: m.datasets_format_sharegpt, preference: m.datasets_format_preference, 'hh-rlhf': m.datasets_format_hh_rlhf,
  unpaired: m.datasets_format_unpaired, ranking: m.datasets_format_ranking, classification: m.datasets_format_classification, text: m.datasets_format_text,
};
const ROLES: Record<Message['role'], () => string> = { system: m.datasets_role_system, user: m.datasets_role_user, assistant: m.datasets_role_assistant, tool: m.datasets_role_tool };
const COMMANDS: Record<EditCommand['type'], (inputs: { rows: string }) => string> = {
  update: m.datasets_did_update, insert: m.datasets_did_insert, duplicate: m.datasets_did_duplicate, delete: m.datasets_did_delete, tag: m.datasets_did_tag,
  split: m.datasets_did_split, 'split-randomly': m.datasets_did_split, swap: m.datasets_did_swap,
};

export const columnTitle = (column: ColumnId): string => COLUMNS[column]();
export const kindTitle = (kind: RowKind): string => KINDS[kind]();
export const splitTitle = (split: Split): string => SPLITS[split]();
export const formatTitle = (format: DatasetFormat): string => FORMATS[format]();
export const roleTitle = (role: Message['role']): string => ROLES[role]();
export const labelTitle = (good: boolean): string => (good ? m.datasets_label_good() : m.datasets_label_bad());
/** What undo takes back: `deleting (3 rows)`. */
export const commandTitle = ({ type, rows }: { type: EditCommand['type']; rows: number }): string => COMMANDS[type]({ rows: formatCount(rows) });
