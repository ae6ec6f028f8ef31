/**
 * Everything that can be done here and now, in one list: the command palette shows it, and its keys work everywhere in the window.
 * A component offers its commands for as long as it stands: `offerCommands(() => [...])` in its script.
 */
import { onDestroy } from 'svelte';

export type Command = {
  id: string;
  title: string;
  /** Heading in the palette: the screen. */
  group: string;
  /** `Mod+Enter`, `Alt+1`, `/`: Mod is Ctrl, on a Mac Cmd. Single letters work only where no text is being typed. */
  keys?: string;
  run: () => void;
  disabled?: boolean;
};

// a plain set: a component that goes reads state as it was before the one that comes in its place wrote it, and would write that back
// eslint-disable-next-line svelte/prefer-svelte-reactivity
const offers = new Set<() => Command[]>();
let changed = $state.raw({});

export function offerCommands(commands: () => Command[]): void {
  offers.add(commands);
  changed = {};
  onDestroy(() => {
    offers.delete(commands);
    changed = {};
  });
}

export function commands(): Command[] {
  void changed;
  return [...offers].flatMap((offer) => offer());
}

const MAC = navigator.platform.startsWith('Mac');

/** `Mod+K` → ⌘K or Ctrl+K. */
export function showKeys(keys: string): string {
  const parts = keys.split('+').map((part) => {
    if (part === 'Mod') return MAC ? '⌘' : 'Ctrl';
    if (part === 'Alt') return MAC ? '⌥' : 'Alt';
    if (part === 'Shift') return MAC ? '⇧' : 'Shift';
    return part.length === 1 ? part.toUpperCase() : part;
  });
  return parts.join(MAC ? '' : '+');
}

/** For a window's keydown: runs the command of these keys, if one is offered. */
export function handleKeys(event: KeyboardEvent): void {
  if (event.defaultPrevented || event.isComposing) return;
  const target = event.target as HTMLElement | null;
  const typing = !!target?.closest('input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable], [role=textbox]');
  const inDialog = !!target?.closest('[role=dialog], [role=alertdialog], [role=menu], [role=listbox]');
  for (const command of commands()) {
    if (!command.keys || command.disabled || !matches(event, command.keys)) continue;
    const modified = event.ctrlKey || event.metaKey || event.altKey || /^F\d+$/.test(event.key);
    if ((typing && !modified) || (inDialog && command.id !== 'palette')) continue;
    event.preventDefault();
    command.run();
    return;
  }
}

function matches(event: KeyboardEvent, keys: string): boolean {
  const parts = keys.split('+');
  const key = parts.at(-1)!;
  const mod = MAC ? event.metaKey : event.ctrlKey;
  if (mod !== parts.includes('Mod') || event.altKey !== parts.includes('Alt')) return false;
  if (event.shiftKey !== parts.includes('Shift') && !/^[^a-z0-9]$/i.test(key)) return false;
  return event.key.toLowerCase() === key.toLowerCase() || event.code === `Key${key.toUpperCase()}` || event.code === `Digit${key}`;
}
