import { expect, test } from 'vitest';
import { curvesToCsv } from './csv.ts';
import { CurveTable } from './curve-table.ts';

test('several runs stand in one table, names quoted, gaps empty, empty rows left out', () => {
  const VALUES = { loss: [3.25, null, 2], eval_loss: [null, null, 2.5], grad_norm: [1, 1, 1] };
  const a = new CurveTable();
  a.append({ steps: [1, 2, 3], tokens: [10, 20, 30], seconds: [0.5, 1, 1.5], values: VALUES });
  const b = new CurveTable();
  b.append({ steps: [5], tokens: [50], seconds: [2], values: { loss: [1e-9] } });
  expect(curvesToCsv([{ run: 'sft, "first"', table: a }, { run: 'b', table: b }], ['loss', 'eval_loss'])).toBe(
    [
      'run,step,tokens,seconds,loss,eval_loss',
      '"sft, ""first""",1,10,0.5,3.25,',
      '"sft, ""first""",3,30,1.5,2,2.5',
      'b,5,50,2,1e-9,',
      '',
    ].join('\r\n'),
  );
});
