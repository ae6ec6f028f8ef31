/** Where the window is: the address after `#/`, as segments and a query. A reload comes back to the same place; back and forward work. */
export const SCREENS = ['library', 'datasets', 'train', 'runs', 'playground', 'export', 'reports'] as const;
export type Screen = (typeof SCREENS)[number];

class Route {
  /** `#/runs/12?overlay=3` → screen runs, rest ['12'], query overlay=3 */
  screen = $state<Screen>('library');
  rest = $state.raw<string[]>([]);
  query = $state.raw(new URLSearchParams());

  constructor() {
    this.read();
    window.addEventListener('hashchange', () => this.read());
  }

  read(): void {
    const { screen, rest, query } = parse(location.hash);
    this.screen = screen;
    this.rest = rest;
    this.query = query;
  }
}
export const route = new Route();

function parse(hash: string): { screen: Screen; rest: string[]; query: URLSearchParams } {
  const [path, query = ''] = hash.replace(/^#\/?/, '').split('?');
  const [screen = '', ...rest] = path.split('/').map(decodeURIComponent);
  return {
    screen: (SCREENS as readonly string[]).includes(screen) ? (screen as Screen) : 'library',
    rest: rest.filter((part) => part !== ''),
    query: new URLSearchParams(query),
  };
}

/** Changes the query of the place where the window is, without a step in the history: settings of a view. null takes one away. */
export function setQuery(changes: Record<string, string | null>): void {
  // the address changes before its event comes: a place that is left already must not be written over the next one
  const { screen, rest } = parse(location.hash);
  if (screen !== route.screen || rest.join('/') !== route.rest.join('/')) return route.read();
  const query = new URLSearchParams(route.query);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) query.delete(name);
    else query.set(name, value);
  }
  history.replaceState(history.state, '', href(route.screen, route.rest, Object.fromEntries(query)));
  route.query = query;
}

/** `#/…` of a place, for links. */
export function href(screen: Screen, rest: (string | number)[] = [], query: Record<string, string> = {}): string {
  const path = [screen, ...rest].map((part) => encodeURIComponent(part)).join('/');
  const search = new URLSearchParams(query).toString();
  return `#/${path}${search ? `?${search}` : ''}`;
}

export function go(screen: Screen, rest: (string | number)[] = [], query: Record<string, string> = {}): void {
  location.hash = href(screen, rest, query);
  route.read();
}
