/** Rephrasings by rule, agreement by hand, and a report with the tiny fixture model that is stored and found again. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Sampling } from '../../shared/sampling.ts';
import { getSamplingReport } from '../db/sampling-reports.ts';
import { createWorkplace, type Workplace } from '../playground/testing.ts';
import { agreement, consistency } from './consistency.ts';
import { readSynonyms, rephrase } from './rephrase.ts';

describe('rephrase', () => {
  it('changes letters, punctuation and blanks, never into the same text', () => {
    expect(rephrase('Name it, please?', 'case')).toEqual(['name it, please?', 'NAME IT, PLEASE?']); // the first letter alone makes the first of these again
    expect(rephrase('Name it, please?', 'punctuation')).toEqual(['Name it, please', 'Name it, please.', 'Name it, please!', 'Name it please?']);
    expect(rephrase('a b', 'whitespace')).toEqual([' a b', 'a b ', 'a b\n', 'a  b']);
  });

  it('puts words of a list in place of others, whole words only, with their first letter as it was', () => {
    expect(rephrase('Explain a big bigger thing', 'synonyms')).toEqual(['Describe a big bigger thing', 'Explain a large bigger thing']);
    expect(rephrase('see it', 'synonyms', readSynonyms('f', '# mine\nsee, look at\n\n'))).toEqual(['look at it']);
    expect(() => readSynonyms('f', 'a,b\nsee')).toThrow('f:2: expected a word, a comma and its synonym');
  });
});

describe('agreement', () => {
  it('counts answers that are the same once spaces and letters are evened out', () => {
    // three alike and "dot": 3 of 6 pairs alike; the others are "cat" against "dot", 2 letters of 3
    expect(agreement(['Cat', ' cat', 'dot', 'CAT '])).toEqual({ answers: 4, distinct: 2, commonest: 'Cat', share: 0.75, pairs: 0.5, distance: (3 * (2 / 3)) / 6 });
    expect(agreement(['one'])).toEqual({ answers: 1, distinct: 1, commonest: 'one', share: 1, pairs: null, distance: null });
  });
});

describe('a report', () => {
  let work: Workplace;
  beforeAll(() => {
    work = createWorkplace();
    work.add('one');
  });
  afterAll(() => work.close());

  it('asks the prompt and its rephrasings so many times, greedily with one answer each, and is kept', async () => {
    const sampling = Sampling.parse({ temperature: 0, maxTokens: 6 });
    const counts: number[] = [];
    const report = await consistency(work.library, { model: 'one', prompt: 'The dog?', count: 3, rephrasings: ['case', 'punctuation', 'paraphrase'], sampling, onCount: (done) => counts.push(done) });
    const { variants, all } = report;
    expect(variants[0]).toMatchObject({ rephrasing: null, prompt: 'The dog?', distinct: 1, share: 1, pairs: 1, distance: 0, same: true });
    expect(variants.every(({ texts, distinct }) => texts.length === 3 && distinct === 1)).toBe(true);
    expect(variants.filter(({ rephrasing }) => rephrasing === 'case').map(({ prompt }) => prompt)).toEqual(['the dog?', 'THE DOG?']);
    expect(new Set(variants.map(({ prompt }) => prompt)).size).toBe(variants.length);
    expect(all.answers).toBe(3 * variants.length);
    expect(counts.at(-1)).toBe(all.answers);
    const { id, ...result } = report;
    expect(getSamplingReport(work.library.db, id)).toMatchObject({ kind: 'consistency', model: 'one', count: 3, sampling, result });
  });
});
