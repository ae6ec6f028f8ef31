/**
 * The colours and dashes of curves. A canvas knows no CSS variables, so the tokens are resolved once a theme: `colours()` is what they are
 * now, and `onTheme` tells when that changes. Colour never stands alone: every line of a chart has a dash of its own too.
 */

export type Colours = { series: string[]; grid: string; text: string; surface: string; font: string };

export const SERIES_COLOURS = 6;
/** In CSS pixels; the first is solid. */
export const DASHES = [[], [6, 3], [2, 3], [10, 3, 2, 3], [14, 4], [5, 2, 1, 2, 1, 2]];

const TOKENS = { grid: '--line', text: '--text-soft', surface: '--surface' };
let current: Colours | null = null;

export function colours(): Colours {
  if (current) return current;
  const probe = document.createElement('span');
  document.body.append(probe);
  const resolve = (token: string): string => {
    probe.style.color = `var(${token})`;
    return getComputedStyle(probe).color;
  };
  const series = Array.from({ length: SERIES_COLOURS }, (_, i) => resolve(`--series-${i + 1}`));
  const { grid, text, surface } = TOKENS;
  probe.style.font = 'var(--type-small) var(--font)';
  current = { series, grid: resolve(grid), text: resolve(text), surface: resolve(surface), font: getComputedStyle(probe).fontFamily };
  probe.remove();
  return current;
}

/** Calls when the theme is another one: the system's or the setting. Returns how to stop. */
export function onTheme(listener: () => void): () => void {
  const changed = (): void => {
    current = null;
    listener();
  };
  const system = matchMedia('(prefers-color-scheme: dark)');
  system.addEventListener('change', changed);
  const setting = new MutationObserver(changed);
  setting.observe(document.documentElement, { attributes: true, attributeFilter: ['data-theme'] });
  return () => {
    system.removeEventListener('change', changed);
    setting.disconnect();
  };
}
