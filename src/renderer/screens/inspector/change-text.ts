/** A relative change as people read it: 12.3 %, 0.041 %, 2.1e-6. */
import { formatMetric, formatPercent } from '../../format.ts';

export function changeText(relative: number): string {
  if (relative === 0) return '0';
  if (relative >= 1e-3) return formatPercent(relative);
  return relative >= 1e-5 ? formatPercent(relative, 3) : formatMetric(relative);
}
