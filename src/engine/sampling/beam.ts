/**
 * Beam search: the likeliest whole answers found by keeping the best few beginnings at every length, exactly as transformers 5 does it
 * (candidates, length penalty, when to end), and its diverse form (Vijayakumar et al. 2018): groups of beams one after the other, each kept from the tokens
 * that the groups before it chose at the same place. It knows no model and no cache: who calls gives log-probs for beginnings (generate-beams.ts).
 */
import type { FinishReason, Sampling } from '../../shared/sampling.ts';
import { applyPenalties } from './filters.ts';
import { likeliestIds } from './sample.ts';

/**
 * A beginning, or a whole answer. `logprobs` are the model's own; `sum` is of log-probs less penalties, by which beams are ranked. `parent`: its place among
 * the beams of the step before.
 */
export type Beam = { ids: number[]; logprobs: number[]; sum: number; parent: number };
/** `score`: sum / length ** lengthPenalty. */
export type FinishedBeam = Beam & { score: number; finishReason: FinishReason };

export type BeamSettings = Pick<Sampling, 'numBeams' | 'numBeamGroups' | 'diversityPenalty' | 'lengthPenalty' | 'earlyStopping' | 'repetitionPenalty' | 'frequencyPenalty' | 'presencePenalty'> & {
  maxTokens: number;
  /** Of ends of a text there may be: so many candidates more are looked at, lest all of them be ends. */
  ends: number;
};

type Group = { running: Beam[]; finished: FinishedBeam[]; done: boolean };

/**
 * `logprobs` gives a row (V, nats) for each beginning, in order. `endOf` says why a text ends there, or null. `cancelled` is read once a step; then what was
 * whole so far is returned, or else the beginnings. Best first, at most numBeams.
 */
export async function beamSearch(
  prompt: readonly number[],
  settings: BeamSettings,
  logprobs: (beams: Beam[]) => Promise<Float32Array[]>,
  endOf: (beam: Beam) => FinishReason | null,
  cancelled: () => boolean,
): Promise<FinishedBeam[]> {
  const { numBeams, numBeamGroups, lengthPenalty, maxTokens } = settings;
  if (numBeams % numBeamGroups !== 0) throw new Error(`beam search: ${numBeams} beams do not fall evenly into ${numBeamGroups} groups: choose a multiple`);
  const size = numBeams / numBeamGroups;
  const groups = Array.from({ length: numBeamGroups }, (): Group => ({ running: [{ ids: [], logprobs: [], sum: 0, parent: 0 }], finished: [], done: false }));
  const scoreOf = ({ sum, ids }: Beam): number => sum / ids.length ** lengthPenalty;

  while (!cancelled()) {
    const open = groups.filter((group) => !group.done);
    if (open.length === 0) break;
    const first = open[0].running[0].ids.length === 0;
    // all groups begin with the same nothing, which is asked for once
    const asked = first ? open[0].running : open.flatMap(({ running }) => running);
    const rows = await logprobs(asked);
    const chosen = new Map<number, number>(); // tokens of the groups before at this place, and how often
    let before = 0;
    for (const group of open) {
      const offset = first ? 0 : before;
      before += group.running.length;
      const candidates = bestContinuations(group.running, offset, rows, prompt, settings, chosen, size * Math.max(2, 1 + settings.ends));
      group.running = [];
      for (const [rank, candidate] of candidates.entries()) {
        const reason = endOf(candidate) ?? (candidate.ids.length >= maxTokens ? 'length' : null);
        if (reason === null) {
          if (group.running.length < size) group.running.push(candidate);
        } else if (rank < size && !(settings.earlyStopping && group.finished.length === size)) {
          group.finished.push({ ...candidate, score: scoreOf(candidate), finishReason: reason });
        }
      }
      group.finished.sort((a, b) => b.score - a.score).splice(size);
      for (const { ids } of group.running) chosen.set(ids.at(-1)!, (chosen.get(ids.at(-1)!) ?? 0) + 1);
      const full = group.finished.length === size;
      const hopeless = full && group.running.length > 0 && scoreOf(group.running[0]) <= group.finished.at(-1)!.score;
      group.done = group.running.length === 0 || hopeless || (full && settings.earlyStopping);
    }
  }
  const whole = groups.flatMap(({ finished }) => finished);
  const cut = groups.flatMap(({ running }) => running).filter(({ ids }) => ids.length > 0).map((beam): FinishedBeam => ({ ...beam, score: scoreOf(beam), finishReason: 'cancelled' }));
  return (whole.length > 0 ? whole : cut).sort((a, b) => b.score - a.score);
}

/** The best of all one-token continuations of a group's beams, best first. `offset`: where the group's rows begin. */
function bestContinuations(
  running: Beam[], offset: number, rows: Float32Array[], prompt: readonly number[], settings: BeamSettings, chosen: Map<number, number>, count: number,
): Beam[] {
  const candidates = running.flatMap(({ ids, logprobs, sum }, i) => {
    const own = rows[offset + i];
    const row = own.slice();
    applyPenalties(row, settings, { prompt, completion: ids });
    for (const [id, times] of chosen) row[id] -= settings.diversityPenalty * times;
    return likeliestIds(row, count).map((id): Beam => ({ ids: [...ids, id], logprobs: [...logprobs, own[id]], sum: sum + row[id], parent: offset + i }));
  });
  return candidates.filter(({ sum }) => sum > -Infinity).sort((a, b) => b.sum - a.sum).slice(0, count);
}
