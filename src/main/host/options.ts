/** What `npm start` and host.ts take on the command line. */
import { parseArgs } from 'node:util';
import { RENDERER } from '../paths.ts';
import { UserError } from '../user-error.ts';

export const DEFAULT_PORT = 7341;

export type HostOptions = { port: number | null; host: string; open: boolean; renderer: string; help: boolean };

export const HELP = `npm start -- [options]: opens the workbench

  --browser        in the browser, also where a desktop window could be opened
  --no-open        serve, print the URL and do not open a browser
  --port PORT      of the browser host (default ${DEFAULT_PORT}, or the next free one; 0: any free one)
  --host ADDRESS   listen on this address and not only on 127.0.0.1: whoever has the URL then has your library, unencrypted
  --renderer DIR   serve the window built there
  --help           this

ATTUNE_HOME names the library's folder. Ctrl-C closes the workbench and keeps what a running training has learned;
a second one ends it at once.`;

export function readOptions(args: string[]): HostOptions {
  let values;
  try {
    ({ values } = parseArgs({
      args,
      options: {
        port: { type: 'string' },
        host: { type: 'string', default: '127.0.0.1' },
        'no-open': { type: 'boolean', default: false },
        browser: { type: 'boolean', default: false },
        renderer: { type: 'string', default: RENDERER },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }));
  } catch (error) {
    throw new UserError(`${(error as Error).message.split('. ')[0]} (--help tells more)`);
  }
  const port = values.port === undefined ? null : Number(values.port);
  if (port !== null && !(Number.isInteger(port) && port >= 0 && port < 65536)) {
    throw new UserError(`--port ${values.port}: give a number from 0 to 65535`);
  }
  return { port, host: values.host, open: !values['no-open'], renderer: values.renderer, help: values.help };
}
