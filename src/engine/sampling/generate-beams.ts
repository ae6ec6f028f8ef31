/**
 * Beam search on a model: the prompt read once, every beam a sequence that continues it, copied where a beam has several children.
 * The search itself is beam.ts; nothing streams, since which answer is best is known at the end.
 */
import type { BeamText } from '../../shared/job.ts';
import type { Sampling } from '../../shared/sampling.ts';
import type { CacheSequence } from '../model/kv-cache.ts';
import type { LanguageModel } from '../model/language-model.ts';
import { createDecoder } from '../tokenizer/stream.ts';
import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import { firstStop, type MayEnd, mayEndWhole, tokenText } from './answer.ts';
import { type Beam, beamSearch, type FinishedBeam } from './beam.ts';
import type { CompiledConstraint, Matcher } from './constraint/constraint.ts';
import { applyMask } from './filters.ts';
import type { GenerateEvent, TokenEvent } from './generate.ts';
import { likeliestIds, summarise } from './sample.ts';

type Told = { entropy: number; likeliest: { id: number; probability: number }[] };

/** Yields the tokens of the best answer once it is found, then the completion with all of them. */
export async function* generateBeams(
  model: LanguageModel,
  tokenizer: Tokenizer,
  prompt: number[],
  index: number,
  sampling: Sampling,
  { cancelled, alternatives, constraint }: { cancelled: () => boolean; alternatives: number; constraint: CompiledConstraint | null },
): AsyncGenerator<GenerateEvent, void, void> {
  const { numBeams, stop } = sampling;
  const maxTokens = Math.min(sampling.maxTokens, model.config.maxPositionEmbeddings - prompt.length);
  const cache = model.createCache(prompt.length + numBeams * maxTokens);
  /** Of every beginning that was asked for: how sure the model was what follows, and what it found likeliest. */
  const told = new Map<string, Told>();
  /** Of each beam that was asked for last: a beam is masked by where its own text is. */
  let matchers: Matcher[] = constraint ? [constraint.start()] : [];
  const mayEnd = mayEndWhole(constraint);
  try {
    const prefix = cache.open(prompt.length);
    let sequences: CacheSequence[] = [];
    let placed: CacheSequence[] = [];
    const found = await beamSearch(prompt, { ...sampling, maxTokens, ends: tokenizer.eosIds.length + Number(stop.length > 0) }, logprobs, endOf, cancelled);
    const beams = found.map((beam) => toText(beam, tokenizer, stop, mayEnd));
    const best = beams.at(0) ?? { text: '', ids: [], logprobs: [], score: 0, finishReason: 'cancelled' };
    yield* tokensOf(best, index, told, tokenizer);
    const { score: _, ...answer } = best;
    yield { type: 'completion', index, ...answer, beams };

    async function logprobs(asked: Beam[]): Promise<Float32Array[]> {
      const first = asked[0].ids.length === 0;
      if (!first) placed = placeBeams(asked, placed);
      if (!first && constraint) matchers = asked.map((beam) => followed(matchers, beam));
      const logits = await model.decode(cache, first ? [{ sequence: prefix, tokens: prompt }] : asked.map(({ ids }, i) => ({ sequence: placed[i], tokens: [ids.at(-1)!] })));
      await new Promise(setImmediate); // lets a cancel come in
      const V = logits.length / asked.length;
      return asked.map(({ ids }, i) => {
        const row = logits.slice(i * V, (i + 1) * V);
        const { logSumExp, entropy } = summarise(row);
        for (let id = 0; id < V; id++) row[id] -= logSumExp;
        told.set(ids.join(), { entropy, likeliest: likeliestIds(row, alternatives).map((id) => ({ id, probability: Math.exp(row[id]) })) });
        if (constraint) applyMask(row, matchers[i].mask(maxTokens - ids.length));
        return row;
      });
    }

    /** The sequence of each beam: its parent's, or a copy of it where a brother has that already. */
    function placeBeams(asked: Beam[], parents: CacheSequence[]): CacheSequence[] {
      if (parents.length === 0) {
        sequences = Array.from({ length: numBeams }, () => cache.open(maxTokens, prefix)); // the prompt has been read by now
        return asked.map((_, i) => sequences[i]);
      }
      const free = sequences.filter((sequence) => !asked.some(({ parent }) => parents[parent] === sequence));
      const taken = new Set<CacheSequence>();
      return asked.map(({ parent }) => {
        const from = parents[parent];
        if (!taken.has(from)) {
          taken.add(from);
          return from;
        }
        const to = free.pop()!;
        cache.copy(from, to);
        return to;
      });
    }
  } finally {
    cache.free();
  }

  function endOf({ ids, parent }: Beam): 'eos' | 'stop' | null {
    if (tokenizer.eosIds.includes(ids.at(-1)!)) return 'eos';
    if (stop.length > 0 && firstStop(tokenizer.decode(ids), stop, mayEnd) >= 0) return 'stop';
    // what nothing may follow still pays for its end, as a text does that could go on, unless there is no such token or no room for it
    const silent = tokenizer.eosIds.length === 0 || ids.length === maxTokens;
    return constraint && silent && followed(matchers, { ids, parent }).finished ? 'eos' : null;
  }
}

function followed(matchers: Matcher[], { ids, parent }: Pick<Beam, 'ids' | 'parent'>): Matcher {
  const matcher = matchers[parent].fork();
  matcher.accept(ids.at(-1)!);
  return matcher;
}

function toText({ ids, logprobs, score, finishReason }: FinishedBeam, tokenizer: Tokenizer, stop: string[], mayEnd: MayEnd): BeamText {
  const text = tokenizer.decode(tokenizer.eosIds.includes(ids.at(-1)!) ? ids.slice(0, -1) : ids);
  return { text: finishReason === 'stop' ? text.slice(0, firstStop(text, stop, mayEnd)) : text, ids, logprobs, score, finishReason };
}

/** Token by token what is in `text`; the last ones add nothing where a stop string was cut off. */
function* tokensOf({ text, ids, logprobs }: BeamText, index: number, told: Map<string, Told>, tokenizer: Tokenizer): Generator<TokenEvent> {
  const decoder = createDecoder(tokenizer);
  let written = 0;
  for (const [i, id] of ids.entries()) {
    const last = i === ids.length - 1;
    const added = decoder.push(id) + (last ? decoder.end() : '');
    const { entropy, likeliest } = told.get(ids.slice(0, i).join())!;
    const others = likeliest.length === 0 || likeliest.some((other) => other.id === id) ? likeliest : [...likeliest, { id, probability: Math.exp(logprobs[i]) }];
    yield {
      type: 'token', index, id, entropy, logprob: logprobs[i],
      text: text.slice(written, written + added.length),
      // nothing is drawn: the beam's token stands there
      alternatives: others.map((other) => ({ ...other, text: tokenText(other.id, tokenizer), sampledProbability: Number(other.id === id) })),
    };
    written += added.length;
  }
}
