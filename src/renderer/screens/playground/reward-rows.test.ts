import { expect, test } from 'vitest';
import { newRow, readRows } from './reward-rows.ts';

test('rows become weighted rewards; what is wrong is told with its place', () => {
  const rows = [{ ...newRow('model', ['judge', 'other']), weight: '0.5' }, { ...newRow('regex', []), text: '\\d' }, { ...newRow('exact', []), weight: '-2' }];
  expect(readRows(rows)).toMatchObject([{ type: 'model', model: 'judge', weight: 0.5 }, { type: 'regex', pattern: '\\d', weight: 1 }, { type: 'exact', weight: -2 }]);
  expect(readRows([rows[0], { ...rows[1], text: '(' }])).toMatch(/^2: .*[Uu]nterminated group/);
  expect(readRows([{ ...rows[0], weight: '' }])).toBeTypeOf('string');
  expect(readRows([newRow('model', [])])).toBeTypeOf('string');
  expect(readRows([])).toEqual([]);
});
