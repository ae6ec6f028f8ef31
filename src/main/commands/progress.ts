/** The progress line of a run, on stderr: one line redrawn in a terminal, a line every few seconds elsewhere. */
import type { EngineEvent } from '../../shared/job.ts';
import { formatSeconds } from '../terminal.ts';

/** Between lines where there is no terminal, and between redraws where there is one; ms. */
const PLAIN_EVERY = 5000;
const REDRAW_EVERY = 100;

export type Progress = { show(event: EngineEvent): void; note(text: string): void; end(): void };

export function createProgress(label = ''): Progress {
  const terminal = process.stderr.isTTY === true;
  let drawn = '';
  let last = 0;
  let evaluation = '';

  const draw = (text: string): void => {
    process.stderr.write(terminal ? `\r\x1b[2K${text.slice(0, (process.stderr.columns ?? 100) - 1)}` : `${text}\n`);
    drawn = text;
  };
  const note = (text: string): void => {
    process.stderr.write(terminal && drawn ? `\r\x1b[2K${text}\n` : `${text}\n`);
    if (terminal && drawn) draw(drawn);
  };

  return {
    note,
    show(event) {
      if (event.type === 'ready') note(`device: ${event.device}`);
      else if (event.type === 'note') note(event.text);
      else if (event.type === 'paused') note('paused');
      else if (event.type === 'resumed') note('going on');
      else if (event.type === 'progress') {
        const { step, totalSteps, tokensPerSecond, secondsLeft, values } = event;
        if ('eval_loss' in values) evaluation = `  eval loss ${values.eval_loss.toFixed(4)}`;
        const now = performance.now();
        if (step < totalSteps && now - last < (terminal ? REDRAW_EVERY : PLAIN_EVERY)) return;
        last = now;
        const loss = values.loss === undefined ? '' : `  loss ${values.loss.toFixed(4)}`;
        const extra = values['rewards/accuracies'] === undefined ? '' : `  accuracy ${values['rewards/accuracies'].toFixed(2)}`;
        const speed = `${Math.round(tokensPerSecond).toLocaleString('en-US')} tokens/s`;
        draw(`${label}step ${step}/${totalSteps}${loss}${extra}${evaluation}  ${speed}  ${formatSeconds(secondsLeft)} left`);
      }
    },
    end() {
      if (terminal && drawn) process.stderr.write('\n');
      drawn = '';
    },
  };
}

/** Things counted on one line of a terminal, taken away at the end; `already` were done before this began. Nothing elsewhere. */
export function createCounter(what: string): ((done: number, total: number, already?: number) => void) | undefined {
  if (!process.stderr.isTTY) return undefined;
  const began = performance.now();
  return (done, total, already = 0) => {
    const seconds = (performance.now() - began) / 1000;
    const left = seconds > 2 && done > already ? `  ${formatSeconds((seconds * (total - done)) / (done - already))} left` : '';
    process.stderr.write(done === total ? '\r\x1b[2K' : `\r\x1b[2K${done} of ${total} ${what}${left}`);
  };
}
