/** Beam search against an exhaustive search over a small vocabulary, against transformers' own, and its diverse form against the definition written out. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { Sampling } from '../../shared/sampling.ts';
import { createReferenceDevice } from '../device/reference.ts';
import { openModel } from '../open-model.ts';
import { createRandom } from '../random.ts';
import { loadTokenizer } from '../tokenizer/tokenizer.ts';
import { beamSearch, type FinishedBeam } from './beam.ts';
import { type Completion, generate } from './generate.ts';

const V = 4, EOS = 0, LENGTH = 5;
/** A log-prob row for every beginning, from a seed: no structure that a search could lean on. */
function table(seed: number): (ids: number[]) => Float32Array {
  return (ids) => {
    const { normal } = createRandom(ids.reduce((hash, id) => hash * 7 + id + 1, seed));
    const logits = Array.from({ length: V }, () => 2 * normal());
    const lse = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0));
    return Float32Array.from(logits, (logit) => logit - lse);
  };
}
const search = (seed: number, settings: Partial<Sampling>): Promise<FinishedBeam[]> =>
  beamSearch([], { ...Sampling.parse({}), ...settings, maxTokens: LENGTH, ends: 1 }, async (beams) => beams.map(({ ids }) => table(seed)(ids)), ({ ids }) => (ids.at(-1) === EOS ? 'eos' : null), () => false);

/** Every whole answer: those that end, and those of full length. */
function everything(seed: number, lengthPenalty: number, ids: number[] = [], sum = 0): { ids: number[]; score: number }[] {
  if (ids.at(-1) === EOS || ids.length === LENGTH) return [{ ids, score: sum / ids.length ** lengthPenalty }];
  return Array.from(table(seed)(ids)).flatMap((logprob, id) => everything(seed, lengthPenalty, [...ids, id], sum + logprob));
}

describe('beamSearch', () => {
  it.each([[1, 0], [2, 1], [3, 2], [4, -1]])('finds what an exhaustive search finds when no beginning is dropped (seed %i, length penalty %i)', async (seed, lengthPenalty) => {
    const all = everything(seed, lengthPenalty).sort((a, b) => b.score - a.score);
    const found = await search(seed, { numBeams: 1024, lengthPenalty }); // more than the 3 ** 5 beginnings there are
    expect(found.length).toBe(all.length);
    expect(found.slice(0, 20).map(({ ids }) => ids)).toEqual(all.slice(0, 20).map(({ ids }) => ids));
    found.forEach(({ score }, i) => expect(score).toBeCloseTo(all[i].score, 6));
  });

  it('scores an answer by its log-probs over its length, which are the model\'s own', async () => {
    for (const { ids, logprobs, score } of await search(5, { numBeams: 3, lengthPenalty: 0.7 })) {
      expect(logprobs).toEqual(ids.map((id, i) => table(5)(ids.slice(0, i))[id]));
      expect(score).toBeCloseTo(logprobs.reduce((sum, x) => sum + x, 0) / ids.length ** 0.7, 6);
    }
  });

  it('keeps groups apart as the definition says: a token costs the penalty for each beam of an earlier group that chose it there', async () => {
    for (let seed = 10; seed < 20; seed++) {
      const found = await search(seed, { numBeams: 6, numBeamGroups: 3, diversityPenalty: 0.8, lengthPenalty: 0 });
      const wanted = diverse(seed, 3, 2, 0.8);
      expect(found.map(({ ids }) => ids.join())).toEqual(wanted.map(({ ids }) => ids.join()));
      found.forEach(({ sum }, i) => expect(sum).toBeCloseTo(wanted[i].sum, 5));
    }
  });

  it('gives the first group what plain search gives it, and none of its first words to the others when the penalty is large', async () => {
    const plain = await search(30, { numBeams: 1, lengthPenalty: 1 });
    const found = await search(30, { numBeams: 3, numBeamGroups: 3, diversityPenalty: 1e6, lengthPenalty: 1 });
    expect(found.some(({ ids }) => ids.join() === plain[0].ids.join())).toBe(true);
    const running = found.filter(({ ids }) => ids.length > 1).map(({ ids }) => ids[0]);
    expect(new Set(running).size).toBe(running.length);
  });

  it('refuses groups of different sizes', async () => {
    await expect(search(1, { numBeams: 5, numBeamGroups: 2 })).rejects.toThrow('5 beams do not fall evenly into 2 groups');
  });
});

/** Diverse beam search over the table written out plainly: all candidates of a group sorted, whole answers put aside, until nothing can improve. */
function diverse(seed: number, groupCount: number, size: number, penalty: number): { ids: number[]; sum: number }[] {
  type Group = { running: { ids: number[]; sum: number }[]; whole: { ids: number[]; sum: number }[]; done: boolean };
  const groups = Array.from({ length: groupCount }, (): Group => ({ running: [{ ids: [], sum: 0 }], whole: [], done: false }));
  while (groups.some(({ done }) => !done)) {
    const used: number[] = [];
    for (const group of groups.filter(({ done }) => !done)) {
      const next = group.running
        .flatMap(({ ids, sum }) => Array.from(table(seed)(ids), (logprob, id) => ({ ids: [...ids, id], sum: sum + logprob - penalty * used.filter((other) => other === id).length })))
        .sort((a, b) => b.sum - a.sum);
      const ended = ({ ids }: { ids: number[] }) => ids.at(-1) === EOS || ids.length === LENGTH;
      group.whole = [...group.whole, ...next.slice(0, size).filter(ended)].sort((a, b) => b.sum - a.sum).slice(0, size);
      group.running = next.filter((one) => !ended(one)).slice(0, size);
      used.push(...group.running.map(({ ids }) => ids.at(-1)!));
      group.done = group.running.length === 0 || (group.whole.length === size && group.running[0].sum <= group.whole[size - 1].sum);
    }
  }
  return groups.flatMap(({ whole }) => whole).sort((a, b) => b.sum - a.sum);
}

describe('beams of a model', () => {
  it("are transformers' beams, token for token, with its scores", async () => {
    const fixtures = fileURLToPath(new URL('../../../fixtures', import.meta.url));
    const golden = JSON.parse(readFileSync(`${fixtures}/sampling/beams.json`, 'utf8')) as {
      eosIds: number[]; maxTokens: number; runs: { sampling: Partial<Sampling>; prompt: number[]; answers: { ids: number[]; score: number }[] }[];
    };
    const folder = `${fixtures}/models/llama`;
    const tokenizer = { ...(await loadTokenizer(folder)), eosIds: golden.eosIds };
    const { model } = await openModel(createReferenceDevice(), { folder }, tokenizer, { storage: 'f32', trainable: 'none' });
    for (const { sampling, prompt, answers } of golden.runs) {
      let completion: Completion | null = null;
      const ids: number[] = [];
      for await (const event of generate(model, tokenizer, [prompt], Sampling.parse({ ...sampling, maxTokens: golden.maxTokens }), { batchSize: 1, cancelled: () => false })) {
        if (event.type === 'completion') completion = event;
        else ids.push(event.id);
      }
      const { beams } = completion!;
      expect(beams!.map((beam) => beam.ids), JSON.stringify(sampling)).toEqual(answers.map((answer) => answer.ids));
      beams!.forEach(({ score }, i) => expect(score / answers[i].score).toBeCloseTo(1, 5));
      expect(ids).toEqual(answers[0].ids);
    }
  });
});
