/** How the playground is looked at (side panel, tints, marks), kept in the address so that a reload shows the same; changing it makes no step back. */
import { href, route } from '../../state/route.svelte.ts';

export const PANELS = ['sampling', 'token', 'votes'] as const;
export type Panel = (typeof PANELS)[number];

class View {
  panel = $derived(PANELS.find((panel) => panel === route.query.get('panel')) ?? null);
  /** Tokens coloured by probability. */
  tint = $derived(route.query.get('tint') === '1');
  /** Word differences between columns marked. */
  marks = $derived(route.query.get('marks') !== '0');

  set(changes: { panel?: Panel | null; tint?: boolean; marks?: boolean }): void {
    const query = new URLSearchParams(route.query);
    const put = (name: string, value: string | null): void => (value === null ? query.delete(name) : query.set(name, value));
    if (changes.panel !== undefined) put('panel', changes.panel);
    if (changes.tint !== undefined) put('tint', changes.tint ? '1' : null);
    if (changes.marks !== undefined) put('marks', changes.marks ? null : '0');
    location.replace(href('playground', route.rest, Object.fromEntries(query)));
  }
}
export const view = new View();

/** The query that goes along to another conversation: how one looks, not what one asked for. */
export function keptQuery(): Record<string, string> {
  return Object.fromEntries([...route.query].filter(([name]) => ['panel', 'tint', 'marks'].includes(name)));
}
