/** Presets are kept for a model under a name, found again, and gone when removed; one of another model is not found. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Sampling } from '../../shared/sampling.ts';
import { findPreset, presetsOf, removePreset, savePreset } from './presets.ts';
import { createWorkplace, type Workplace } from './testing.ts';

let work: Workplace;
beforeAll(() => void (work = createWorkplace()));
afterAll(() => work.close());

it('keeps settings by model and name, without the seed', () => {
  savePreset(work, { models: ['a', 'b'], name: 'sharp', sampling: Sampling.parse({ temperature: 0.3, typicalP: 0.9, seed: 7 }), constraint: { type: 'choices', choices: ['yes', 'no'] } });
  savePreset(work, { models: ['a'], name: 'sharp', sampling: Sampling.parse({ temperature: 0.2 }), constraint: null });
  expect(findPreset(work.library, 'a', 'sharp')).toMatchObject({ sampling: Sampling.parse({ temperature: 0.2 }), constraint: null });
  expect(findPreset(work.library, 'b', 'sharp')).toMatchObject({ sampling: Sampling.parse({ temperature: 0.3, typicalP: 0.9 }), constraint: { type: 'choices', choices: ['yes', 'no'] } });
  expect(presetsOf(work, ['b', 'c']).map(({ model, name }) => [model, name])).toEqual([['b', 'sharp']]);
});

it('says which there are when the name is not among them', () => {
  expect(() => findPreset(work.library, 'a', 'blunt')).toThrow('--preset blunt: a has no preset of this name: it has sharp');
  expect(() => findPreset(work.library, 'c', 'blunt')).toThrow('keep one with --save-preset');
  removePreset(work, { models: ['a', 'b'], name: 'sharp' });
  expect(presetsOf(work, ['a', 'b'])).toEqual([]);
});
