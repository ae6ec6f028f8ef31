/** `attune serve`: a model behind an OpenAI-compatible port until it is interrupted. What is served, and to whom, is serving/. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Template } from '../../shared/dataset.ts';
import { Dtype } from '../../shared/job.ts';
import { isLoopback } from '../host/listen.ts';
import type { Library } from '../library.ts';
import { resolveModel } from '../models/index.ts';
import { openModelServer } from '../serving/model-server.ts';
import { print, tell } from '../terminal.ts';
import { addMachineOptions, addTemplateOption, type MachineOptions, parseCount, readTemplate } from './options.ts';
import { withLibrary } from './with-library.ts';

const DEFAULT_PORT = 8000;

type Flags = MachineOptions & { port: number; host: string; token?: string; name?: string; template?: Template; dtype: Dtype };

export function addServeCommand(program: Command): void {
  const serve = program
    .command('serve')
    .description('answer other programs: an OpenAI-compatible server over a model, on this machine alone unless told otherwise')
    .argument('<model>')
    .option('--port <n>', '0: any free one', parsePort, DEFAULT_PORT)
    .option('--token <token>', 'what clients send as API key; without it one is made and printed (others of this machine can read a command line)')
    .option('--name <name>', "what clients call the model; by default the library's name")
    .option('--host <address>', 'listen there and not only on 127.0.0.1: nothing on the way is encrypted', '127.0.0.1')
    .addOption(new Option('--dtype <dtype>', "weights as stored, or rounded to 8 bits as they load (ggml's Q8_0)").choices(Dtype.options).default('stored'))
    .addHelpText('after', `
The base URL goes to stdout, everything else to stderr. Served: /v1/models, /v1/chat/completions, /v1/completions, /v1/embeddings (mean-pooled),
with streaming, logprobs, n, stop, seed, response_format and, where the model's own chat template has a form for them that is known here, tools. A field that is not served is refused by name. Ctrl-C ends it.

Examples:
  attune serve my-dpo
  attune serve ./SmolLM2-135M --port 8080 --token "$(cat token.txt)"`);
  addMachineOptions(addTemplateOption(serve)).action((model: string, options: Flags) => withLibrary((library) => runServe(library, model, options)));
}

async function runServe(library: Library, given: string, { port, host, token, name, device, threads, dtype, ...options }: Flags): Promise<void> {
  const model = resolveModel(library, given);
  const server = await openModelServer({
    job: { type: 'serve', device, threads, model: model.path, template: readTemplate(options, model), dtype },
    name: name ?? model.name, host, port, token: token ?? null, onChange: () => {},
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => void server.close());
  print(server.url);
  tell(`${name ?? model.name} on ${server.backend.device}, ${server.backend.served.contextLength} tokens of context`);
  if (token === undefined) tell(`token: ${server.token}`);
  if (!isLoopback(host)) tell(`attune: --host ${host}: who has the token can use the model, and nothing on the way is encrypted`);
  const body = JSON.stringify({ model: name ?? model.name, messages: [{ role: 'user', content: 'Hello' }] });
  tell(`curl ${server.url}/chat/completions -H "Authorization: Bearer ${token === undefined ? server.token : '$TOKEN'}" -H "Content-Type: application/json" -d '${body}'`);
  const how = await server.ended;
  if (how !== null) throw new Error(how);
}

function parsePort(text: string): number {
  const port = parseCount(text);
  if (port > 65535) throw new InvalidArgumentError('Expected a number from 0 to 65535.');
  return port;
}
