/**
 * One uPlot drawing of lines over a common x: made once for its lines and scales, then fed with what is in view, cut down to its pixels.
 * Redrawing costs by pixels, not by points, and a new point rebuilds nothing. Pointer, cursor and legend are Chart's: uPlot's own are off.
 */
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { colours, DASHES, SERIES_COLOURS } from './chart-colours.ts';
import type { Points, XAxis } from './curve-table.ts';
import { align, decimate } from './decimate.ts';
import { logTicks, tickDistances, tickLabels, timeTick } from './ticks.ts';
import type { Range } from './view.svelte.ts';

export type ChartLine = {
  key: string;
  label: string;
  /** Index into the series colours. */
  colour: number;
  /** Index into DASHES. */
  dash: number;
  /** Read anew for every drawing: the columns grow. */
  points: () => Points;
  /** The same smoothed; then the points themselves stand faintly behind. */
  smoothed: (() => Points) | null;
};

/** Width of the left axis: the same everywhere, so that charts beneath each other stand in line. */
const AXIS = 52;
/** Points at their own place are drawn as dots up to this many in view: evaluations are few. */
const DOTS = 40;
const FAINT = 0.28;
/** Between marks of the left axis at least, CSS pixels. */
const TICK_SPACE = 28;
const TEXT_SIZE = 11;

export class Plot {
  readonly #plot: uPlot;
  #lines: ChartLine[];

  constructor(parent: HTMLElement, lines: ChartLine[], options: { axis: XAxis; log: boolean; width: number; height: number }) {
    this.#lines = lines;
    const font = `${TEXT_SIZE}px ${colours().font}`;
    const axis: Partial<uPlot.Axis> = {
      stroke: () => colours().text,
      font,
      grid: { stroke: () => colours().grid, width: 1 },
      ticks: { stroke: () => colours().grid, width: 1, size: 4 },
      gap: 4,
    };
    const logAxis: Partial<uPlot.Axis> = {
      splits: (_, __, min, max) => logTicks(min, max, Math.floor(options.height / TICK_SPACE)),
      filter: (_, ticks) => ticks,
    };
    const series = (line: ChartLine, faint: boolean): uPlot.Series => ({
      stroke: () => colours().series[line.colour % SERIES_COLOURS],
      alpha: faint ? FAINT : 1,
      width: faint ? 1 : 1.5,
      dash: faint ? [] : DASHES[line.dash % DASHES.length],
      spanGaps: true,
      points: {
        show: (u, index, from, to) => {
          if (faint) return false;
          let count = 0;
          const data = u.data[index];
          for (let i = from; i <= to && count <= DOTS; i++) if (data[i] !== null) count++;
          return count <= DOTS;
        },
        size: 5,
        width: 1,
        fill: () => colours().series[line.colour % SERIES_COLOURS],
      },
    });
    this.#plot = new uPlot(
      {
        width: options.width,
        height: options.height,
        legend: { show: false },
        cursor: { show: false },
        padding: [8, 12, 0, 0],
        scales: {
          x: { time: false, auto: false },
          y: options.log ? { distr: 3, range: (_, min, max) => logRange(min, max) } : { range: (_, min, max) => linearRange(min, max) },
        },
        axes: [
          {
            ...axis,
            size: 28,
            space: 48,
            incrs: tickDistances(options.axis),
            values: (_, ticks) => (options.axis === 'time' ? ticks.map(timeTick) : tickLabels(ticks)),
          },
          {
            ...axis,
            size: AXIS,
            space: TICK_SPACE,
            ...(options.log ? logAxis : {}),
            values: (_, ticks) => tickLabels(ticks),
          } satisfies uPlot.Axis,
        ],
        series: [{}, ...lines.flatMap((line) => (line.smoothed ? [series(line, true), series(line, false)] : [series(line, false)]))],
      },
      [[]] as unknown as uPlot.AlignedData,
      parent,
    );
  }

  /** The same lines, read otherwise: another weight of smoothing. */
  replace(lines: ChartLine[]): void {
    this.#lines = lines;
  }

  /** Draws the points in view. */
  draw([from, to]: Range): void {
    if (!(to > from)) to = from + 1;
    const columns = Math.max(1, Math.round((this.#plot.bbox.width / devicePixelRatio) * Math.min(2, devicePixelRatio)));
    const reads = this.#lines.flatMap(({ points, smoothed }) => (smoothed ? [points, smoothed] : [points]));
    const cut = reads.map((read) => decimate(read(), from, to, columns));
    this.#plot.batch(() => {
      this.#plot.setData(align(cut) as uPlot.AlignedData, false);
      this.#plot.setScale('x', { min: from, max: to });
    });
  }

  /** Draws again as it is, for another theme. */
  recolour(): void {
    this.#plot.redraw(false, true);
  }

  resize(width: number, height: number): void {
    this.#plot.setSize({ width, height });
  }

  /** The drawing area within the chart, CSS pixels. */
  get area(): { left: number; top: number; width: number; height: number } {
    const { left, top, width, height } = this.#plot.bbox;
    const ratio = devicePixelRatio;
    return { left: left / ratio, top: top / ratio, width: width / ratio, height: height / ratio };
  }

  /** Pixels from the left of the drawing area. */
  xToPixel(x: number): number {
    return this.#plot.valToPos(x, 'x');
  }

  pixelToX(pixel: number): number {
    return this.#plot.posToVal(pixel, 'x');
  }

  yToPixel(y: number): number {
    return this.#plot.valToPos(y, 'y');
  }

  get canvas(): HTMLCanvasElement {
    return this.#plot.ctx.canvas;
  }

  destroy(): void {
    this.#plot.destroy();
  }
}

/** A little room above and below; a flat line stands in the middle. */
function linearRange(min: number | null, max: number | null): [number, number] {
  if (min === null || max === null || !Number.isFinite(min) || !Number.isFinite(max)) return [0, 1];
  const room = min === max ? Math.abs(min) * 0.1 || 1 : (max - min) * 0.06;
  // a curve of what cannot be negative does not get an axis below zero
  return [min >= 0 ? Math.max(0, min - room) : min - room, max <= 0 ? Math.min(0, max + room) : max + room];
}

function logRange(min: number | null, max: number | null): [number, number] {
  if (min === null || max === null || !(min > 0)) return [0.1, 1];
  const room = min === max ? 1.5 : (max / min) ** 0.06;
  return [min / room, max * room];
}
