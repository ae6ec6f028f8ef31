/** The settings' fields follow the schema; what a person writes becomes what the schema takes. */
import { expect, it } from 'vitest';
import { Sampling } from '../../../shared/sampling.ts';
import { DEFAULTS, NUMBER_FIELDS, readNumber, readStops, writeStops } from './sampling-fields.ts';

const field = (name: string) => NUMBER_FIELDS.find((one) => one.name === name)!;

it('has a field for every number of the schema, with its range', () => {
  expect([...NUMBER_FIELDS.map(({ name }) => name), 'stop', 'filterOrder', 'earlyStopping'].sort()).toEqual(Object.keys(Sampling.shape).sort());
  expect(field('temperature')).toMatchObject({ integer: false, least: 0, above: false, most: 10 });
  expect(field('topP')).toMatchObject({ least: 0, above: true, most: 1 });
  expect(field('seed')).toMatchObject({ integer: true, least: 0, most: null });
});

it('has defaults that the schema takes', () => {
  expect(Sampling.parse({})).toEqual(DEFAULTS);
});

it('takes what is in range and nothing else', () => {
  expect(readNumber(field('temperature'), '0.7')).toBe(0.7);
  expect(readNumber(field('temperature'), '11')).toBeNull();
  expect(readNumber(field('topP'), '0')).toBeNull();
  expect(readNumber(field('maxTokens'), '1.5')).toBeNull();
  expect(readNumber(field('seed'), '')).toBeNull();
});

it('writes stop strings one a line and reads them back', () => {
  const stops = ['\n\n', 'END', 'a\\nb', '\t'];
  expect(readStops(writeStops(stops))).toEqual(stops);
});
