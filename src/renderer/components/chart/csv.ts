/** Curves as a CSV table: one row a logged step of a run, the run's name first, so that several runs stand in one file. RFC 4180. */
import type { CurveTable } from './curve-table.ts';

export type NamedCurves = { run: string; table: CurveTable };

/** Numbers at full precision; an empty cell where a metric was not logged. Rows without any of the metrics are left out. */
export function curvesToCsv(runs: NamedCurves[], metrics: string[]): string {
  const lines = [['run', 'step', 'tokens', 'seconds', ...metrics].map(quote).join(',')];
  for (const { run, table } of runs) {
    const columns = metrics.map((metric) => table.points(metric, 'step').y);
    const [step, tokens, time] = [table.x('step'), table.x('tokens'), table.x('time')];
    for (let i = 0; i < table.length; i++) {
      const values = columns.map((column) => (Number.isNaN(column[i]) ? '' : String(column[i])));
      if (values.some((value) => value !== '')) lines.push([quote(run), step[i], tokens[i], time[i], ...values].join(','));
    }
  }
  return `${lines.join('\r\n')}\r\n`;
}

function quote(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
