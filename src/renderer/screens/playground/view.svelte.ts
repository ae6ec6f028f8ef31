/** How the playground is looked at (side panel, tints, marks), kept in the address so that a reload shows the same. */
import { route, setQuery } from '../../state/route.svelte.ts';

export const PANELS = ['sampling', 'prompt', 'constraint', 'token', 'many', 'votes'] as const;
export type Panel = (typeof PANELS)[number];

export const TINTED_BY = ['probability', 'entropy'] as const;
export type Tint = (typeof TINTED_BY)[number];

class View {
  panel = $derived(PANELS.find((panel) => panel === route.query.get('panel')) ?? null);
  /** What tokens are coloured by, if they are. */
  tint = $derived<Tint | null>(TINTED_BY.find((by) => by === route.query.get('tint')) ?? null);
  /** Word differences between columns marked. */
  marks = $derived(route.query.get('marks') !== '0');

  set({ panel, tint, marks }: { panel?: Panel | null; tint?: Tint | null; marks?: boolean }): void {
    setQuery({
      ...(panel === undefined ? {} : { panel }),
      ...(tint === undefined ? {} : { tint }),
      ...(marks === undefined ? {} : { marks: marks ? null : '0' }),
    });
  }
}
export const view = new View();

/** The query that goes along to another conversation: how one looks, not what one asked for. */
export function keptQuery(): Record<string, string> {
  return Object.fromEntries([...route.query].filter(([name]) => ['panel', 'tint', 'marks'].includes(name)));
}
