import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Example, Message } from '../../shared/dataset.ts';
import { createTokenizer, loadTokenizer } from '../tokenizer/tokenizer.ts';
import { trainBpe } from '../tokenizer/train-bpe.ts';
import { unpair } from './prepare.ts';
import { tokenizeExample, tokenizePreference, tokenizeUnpaired } from './tokenize.ts';

const bytes = createTokenizer(trainBpe([], { vocabSize: 259, specialTokens: ['<|im_start|>', '<|im_end|>', '<s>'] }) as never, { eos_token: '<|im_end|>' }, {
  where: 'tokenizer.json',
  eos: [],
  chatTemplate: null,
});
const settings = { template: 'chatml' as const, tokenizer: bytes, maxLength: 1000, completionOnlyLoss: true };

describe('tokenizeExample', () => {
  const example: Example = { kind: 'conversation', messages: [{ role: 'user', content: 'q' }, { role: 'assistant', content: 'ab' }] };

  it('targets the answer and its end-of-turn token only', () => {
    const { tokens, loss } = tokenizeExample(example, settings);
    const targets = Array.from(tokens).filter((_, i) => loss[i] === 1);
    expect(bytes.decode(targets)).toBe('ab<|im_end|>');
    expect(bytes.decode(tokens)).toBe('<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\nab<|im_end|>\n');
  });

  it('trains everything when asked to', () => {
    expect(tokenizeExample(example, { ...settings, completionOnlyLoss: false }).loss.includes(0)).toBe(false);
  });

  it('cuts long rows at the end and says so', () => {
    const whole = tokenizeExample(example, settings);
    const cut = tokenizeExample(example, { ...settings, maxLength: 10 });
    expect(whole.truncated).toBe(false);
    expect(cut).toMatchObject({ truncated: true, tokens: whole.tokens.slice(0, 10), loss: whole.loss.slice(0, 10) });
  });
});

describe('tokenizePreference', () => {
  it('ends answers with the end-of-turn token and cuts each at maxLength', () => {
    const pair = { kind: 'preference' as const, prompt: 'q', chosen: 'good', rejected: 'so bad' };
    const { prompt, chosen, rejected, truncated } = tokenizePreference(pair, settings);
    expect([prompt, chosen, rejected].map((ids) => bytes.decode(ids))).toEqual([
      '<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n',
      'good<|im_end|>',
      'so bad<|im_end|>',
    ]);
    expect(truncated).toBe(false);
    const cut = tokenizePreference(pair, { ...settings, maxLength: prompt.length + 5 });
    expect([cut.chosen.length, cut.rejected.length, cut.truncated]).toEqual([5, 5, true]);
    expect(tokenizePreference(pair, { ...settings, maxLength: 4 })).toMatchObject({ chosen: new Int32Array(), rejected: new Int32Array(), truncated: true });
  });

  it('where a merge crosses the border, shares only the tokens all agree on', () => {
    // alpaca's prompt ends in "Response:" and one answer begins with "-": with ":-" merged, the last prompt token differs
    const merged = createTokenizer(trainBpe([':-', ':-'], { vocabSize: 259, specialTokens: ['<|im_start|>', '<|im_end|>'] }) as never, { eos_token: '<|im_end|>' }, {
      where: '',
      eos: [],
      chatTemplate: null,
    });
    const pair = { kind: 'preference' as const, prompt: 'q', chosen: '-)', rejected: 'no' };
    const { prompt, chosen, rejected } = tokenizePreference(pair, { ...settings, template: 'alpaca', tokenizer: merged });
    expect(merged.decode(prompt).endsWith('### Response')).toBe(true);
    expect(merged.decode(chosen)).toBe(':-)<|im_end|>');
    expect(merged.decode(rejected)).toBe(':no<|im_end|>');
  });
});

const fixtures = join(import.meta.dirname, '../../../fixtures');
/** Those of methods on texts and preferences; the others' rows are held by their own parity tests. */
const runs = readdirSync(join(fixtures, 'trl'), { withFileTypes: true }).filter(
  ({ name }) => /^(sft|dpo|cpo|orpo|kto)/.test(name) && existsSync(join(fixtures, 'trl', name, 'run.json')),
);

describe('TRL’s own trainers', () => {
  it.each(runs.map(({ name }) => name))('%s: every row has the same ids and the same loss mask', async (name) => {
    const tokenizer = await loadTokenizer(join(fixtures, 'models/llama'));
    const { recipe, rows } = JSON.parse(readFileSync(join(fixtures, 'trl', name, 'run.json'), 'utf8'));
    const lines = readFileSync(join(fixtures, '..', recipe.dataset), 'utf8').trim().split('\n').map((line) => JSON.parse(line));
    expect(rows.length).toBeGreaterThan(3);
    rows.forEach((row: { prompt_ids: number[]; chosen_ids: number[]; rejected_ids: number[]; completion_ids: number[]; input_ids: number[]; labels: number[] }, i: number) => {
      const limits = { template: recipe.template, tokenizer, maxLength: recipe.maxLength, completionOnlyLoss: recipe.completionOnlyLoss ?? true };
      if (recipe.method === 'kto') {
        const { prompt, completion } = tokenizeUnpaired(unpair({ kind: 'preference', ...lines[i] })[i % 2], limits);
        expect([prompt, completion].map((ids) => Array.from(ids))).toEqual([row.prompt_ids, row.completion_ids]);
        return;
      }
      if (recipe.method !== 'sft') {
        const { prompt, chosen, rejected } = tokenizePreference({ kind: 'preference', ...lines[i] }, limits);
        expect([prompt, chosen, rejected].map((ids) => Array.from(ids))).toEqual([row.prompt_ids, row.chosen_ids, row.rejected_ids]);
        return;
      }
      const messages = lines[i].messages as Message[];
      const example: Example =
        name === 'sft-plain' // the same rows as plain strings, see make-trl-fixtures.py
          ? { kind: 'completion', prompt: `${messages[0].content}\n`, completion: messages[1].content }
          : { kind: 'conversation', messages };
      const { tokens, loss } = tokenizeExample(example, limits);
      // TRL cuts to maxLength when it makes batches, after these ids
      expect(Array.from(tokens)).toEqual(row.input_ids.slice(0, limits.maxLength));
      expect(Array.from(tokens, (id, t) => (loss[t] === 1 ? id : -100))).toEqual(row.labels.slice(0, limits.maxLength));
    });
  });
});
