/** The fields of an export's description that the form has; the command line has all of them. */
import type { GivenAbout } from '../../../shared/export-about.ts';

export const FIELDS = ['author', 'organization', 'license', 'version', 'languages', 'url', 'description', 'quantizedBy'] as const;
export type AboutField = (typeof FIELDS)[number];
/** A licence or a description belongs to one model, so these alone are kept. */
export const REMEMBERED = ['author', 'organization', 'quantizedBy'] as const satisfies AboutField[];

/** What was filled in; `quantised`: files of which somebody made blocks. */
export function givenAbout(values: Record<AboutField, string>, quantised: boolean): GivenAbout {
  const said = FIELDS.filter((field) => values[field].trim() !== '' && (quantised || field !== 'quantizedBy'));
  return Object.fromEntries(said.map((field) => [field, field === 'languages' ? values.languages.split(/[\s,]+/).filter(Boolean) : values[field].trim()]));
}
