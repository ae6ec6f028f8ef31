/** `attune logprobs` and `tokenize`: what models make of a text, token by token. */
import type { Command } from 'commander';
import type { LogprobsResult, TokenizeResult } from '../../shared/job-results.ts';
import { askEngine } from '../engine.ts';
import { resolveModel } from '../models/index.ts';
import { print, table } from '../terminal.ts';
import { addMachineOptions, type MachineOptions } from './options.ts';
import { withLibrary } from './with-library.ts';

type TextFlags = { text: string; json?: boolean };

/** Characters of the longest bar. */
const BAR = 12;

export function addLookCommands(program: Command): void {
  const logprobs = program
    .command('logprobs')
    .description('log-probability (nats) of every token of a text given those before it')
    .argument('<model>')
    .requiredOption('--text <text>', 'taken as it is, without a template')
    .option('--against <model>', 'another model of the same tokenizer: its log-probabilities beside, and where the two diverge')
    .option('--json', 'as JSON: ids, tokens, logprobs; with --against those of the other, KL and both likeliest tokens of every place')
    .addHelpText('after', `
KL is KL(model ‖ other) over the whole vocabulary, nats; its bar is drawn to the largest. The likeliest tokens are told where they differ.

Example:
  attune logprobs my-dpo --against my-sft --text "A river is a large stream of water."`);
  addMachineOptions(logprobs).action((name: string, { text, json, against, device, threads }: TextFlags & MachineOptions & { against?: string }) =>
    withLibrary(async (library) => {
      const model = resolveModel(library, name);
      const other = against === undefined ? null : resolveModel(library, against);
      const result = await askEngine<LogprobsResult>({ type: 'logprobs', model: model.path, against: other?.path, text, device, threads });
      if (json) return print(JSON.stringify(result));
      print(other && result.against ? againstTable(model.name, other.name, result, result.against) : ownTable(result));
    }),
  );

  program
    .command('tokenize')
    .description('the tokens of a text')
    .argument('<model>')
    .requiredOption('--text <text>', 'taken as it is, without a template')
    .option('--json', 'as JSON: ids, tokens')
    .action((name: string, { text, json }: TextFlags) =>
      withLibrary(async (library) => {
        const result = await askEngine<TokenizeResult>({ type: 'tokenize', model: resolveModel(library, name).path, text });
        if (json) return print(JSON.stringify(result));
        print(table([['id', 'token'], ...result.ids.map((id, i) => [String(id), JSON.stringify(result.tokens[i])])]));
      }),
    );
}

const shown = (value: number | null): string => value?.toFixed(4) ?? '–';

function ownTable({ ids, tokens, logprobs }: LogprobsResult): string {
  return `${table([['id', 'token', 'logprob'], ...ids.map((id, i) => [String(id), JSON.stringify(tokens[i]), shown(logprobs[i])])])}\nperplexity ${perplexity(logprobs)}`;
}

function againstTable(name: string, other: string, { ids, tokens, logprobs }: LogprobsResult, against: NonNullable<LogprobsResult['against']>): string {
  const divergences = known(against.kl);
  const most = Math.max(0, ...divergences);
  const differ = against.likeliest.filter((both) => both !== null && both[0] !== both[1]).length;
  const rows = ids.map((id, i) => {
    const [own, others, kl, likeliest] = [logprobs[i], against.logprobs[i], against.kl[i], against.likeliest[i]];
    const bar = kl === null || most === 0 ? '' : '#'.repeat(Math.round((BAR * kl) / most));
    return [
      String(id), JSON.stringify(tokens[i]), shown(own), shown(others), own === null || others === null ? '–' : (own - others).toFixed(4), shown(kl), bar,
      likeliest && likeliest[0] !== likeliest[1] ? `${JSON.stringify(likeliest[0])}, not ${JSON.stringify(likeliest[1])}` : '',
    ];
  });
  const mean = divergences.length === 0 ? '–' : (divergences.reduce((sum, kl) => sum + kl, 0) / divergences.length).toFixed(4);
  return [
    table([['id', 'token', name, other, 'difference', 'KL', '', 'would write'], ...rows]),
    `perplexity ${perplexity(logprobs)}, ${other} ${perplexity(against.logprobs)}; KL ${mean} nats a token; another likeliest token at ${differ} of ${divergences.length}`,
  ].join('\n');
}

const known = (values: (number | null)[]): number[] => values.filter((value) => value !== null);

function perplexity(logprobs: (number | null)[]): string {
  const values = known(logprobs);
  return values.length === 0 ? '–' : Math.exp(-values.reduce((sum, value) => sum + value, 0) / values.length).toFixed(2);
}
