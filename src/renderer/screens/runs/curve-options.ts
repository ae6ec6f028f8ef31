/**
 * How curves are looked at, as the address has it: everything a reload should bring back. Unknown or absurd values read as the usual ones.
 */
import type { XAxis } from '../../components/chart/curve-table.ts';

export type CurveOptions = {
  x: XAxis;
  /** 0 ≤ weight < 1; 0 is off */
  smooth: number;
  log: boolean;
  overlay: number[];
  /** null: the usual ones */
  panels: string[] | null;
  /** One chart alone, large. */
  focus: string | null;
  zoom: [number, number] | null;
};

export const MOST_SMOOTH = 0.999;

export function readOptions(query: URLSearchParams): CurveOptions {
  const x = query.get('x');
  const smooth = Number(query.get('smooth') ?? 0);
  const zoom = (query.get('zoom') ?? '').split('~').map(Number);
  return {
    x: x === 'tokens' || x === 'time' ? x : 'step',
    smooth: smooth > 0 ? Math.min(MOST_SMOOTH, smooth) : 0,
    log: query.get('log') === '1',
    overlay: (query.get('overlay') ?? '').split(',').filter((id) => /^\d+$/.test(id)).map(Number),
    panels: query.has('panels') ? query.get('panels')!.split(',').filter(Boolean) : null,
    focus: query.get('focus'),
    zoom: zoom.length === 2 && zoom[1] > zoom[0] ? [zoom[0], zoom[1]] : null,
  };
}

/** As changes of the query; null takes one away. */
export function writeOptions(options: Partial<CurveOptions>): Record<string, string | null> {
  const changes: Record<string, string | null> = {};
  if (options.x !== undefined) changes.x = options.x === 'step' ? null : options.x;
  if (options.smooth !== undefined) changes.smooth = options.smooth > 0 ? String(options.smooth) : null;
  if (options.log !== undefined) changes.log = options.log ? '1' : null;
  if (options.overlay !== undefined) changes.overlay = options.overlay.length > 0 ? options.overlay.join(',') : null;
  if (options.panels !== undefined) changes.panels = options.panels?.join(',') ?? null;
  if (options.focus !== undefined) changes.focus = options.focus;
  if (options.zoom !== undefined) changes.zoom = options.zoom ? options.zoom.map((value) => Number(value.toPrecision(9))).join('~') : null;
  return changes;
}
