import { expect, test } from 'vitest';
import { type CurveOptions, readOptions, writeOptions } from './curve-options.ts';

const plain: CurveOptions = { x: 'step', smooth: 0, log: false, overlay: [], panels: null, focus: null, zoom: null };

test('what is written is read again', () => {
  const options: CurveOptions = {
    x: 'tokens', smooth: 0.6, log: true, overlay: [3, 12], panels: ['loss', 'rewards'], focus: 'loss', zoom: [1.5, 2000],
  };
  const query = new URLSearchParams(Object.entries(writeOptions(options)).filter((entry): entry is [string, string] => entry[1] !== null));
  expect(readOptions(query)).toEqual(options);
});

test('the usual ways leave nothing in the address, and nonsense reads as usual', () => {
  expect(Object.values(writeOptions(plain)).every((value) => value === null)).toBe(true);
  expect(readOptions(new URLSearchParams('x=sideways&smooth=-3&overlay=a,b&zoom=9~2'))).toEqual(plain);
  expect(readOptions(new URLSearchParams('smooth=7')).smooth).toBeLessThan(1);
});
