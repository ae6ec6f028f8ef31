/**
 * The workbench in a browser: serves the window and its RPC on 127.0.0.1 until it is asked to end. One line on stdout, the URL with its
 * token; everything for people goes to stderr. What a window may ask is router.ts's; who may ask is host/guard.ts's.
 */
import { createServer } from 'node:http';
import { join } from 'node:path';
import { hasDisplay, openBrowser } from './host/browser.ts';
import { createGuard } from './host/guard.ts';
import { hostNames, isLoopback, listen, tunnelCommand, workbenchUrl } from './host/listen.ts';
import { HELP, type HostOptions, readOptions } from './host/options.ts';
import { createRpcSockets } from './host/rpc-socket.ts';
import { answerRequests } from './host/server.ts';
import { cleanUploads } from './host/uploads.ts';
import { listModels } from './db/models.ts';
import { libraryFolder } from './library.ts';
import { claimLibrary } from './open-once.ts';
import { trainsHere } from './trains-here.ts';
import { UserError } from './user-error.ts';
import { openWorkbench } from './workbench.ts';

const tell = (line: string): void => void process.stderr.write(`${line}\n`);

try {
  const options = readOptions(process.argv.slice(2));
  if (options.help) console.log(HELP);
  else await serve(options);
} catch (error) {
  tell((process.env.ATTUNE_DEBUG ? (error as Error).stack : undefined) ?? `attune: ${(error as Error).message}`);
  process.exit(error instanceof UserError ? 2 : 1);
}

async function serve(options: HostOptions): Promise<void> {
  const folder = libraryFolder();
  const claim = claimLibrary(folder, 'browser');
  if ('owner' in claim) {
    const where = claim.shell === 'electron' ? 'the desktop window' : 'the browser';
    tell(`attune: ${folder} is open already, in ${where} (process ${claim.owner.split(':')[0]})`);
    if (claim.url) console.log(claim.url);
    if (claim.url && options.open && hasDisplay()) openBrowser(claim.url);
    return;
  }
  process.on('exit', claim.release);

  const workbench = openWorkbench({ kind: 'browser', choose: null, reveal: null, printPdf: null }, folder, { examples: true });
  const uploads = join(folder, 'uploads');
  await cleanUploads(uploads, listModels(workbench.library.db).flatMap((model) => [model.folder, model.adapter ?? []].flat()));
  const sockets = createRpcSockets(workbench);
  const server = createServer();
  const port = await listen(server, options.host, options.port);
  const devToken = process.env.ATTUNE_DEV_TOKEN || undefined; // set by `npm run dev` alone, where main starts often
  const guard = createGuard(hostNames(options.host), port, devToken);
  answerRequests(server, { guard, sockets, renderer: options.renderer, uploads });

  let closing = false;
  const close = (signal: NodeJS.Signals): void => {
    if (closing) process.exit(signal === 'SIGINT' ? 130 : 143);
    closing = true;
    if (trainsHere(workbench.library)) tell('attune: the training stops after the step under way and is kept (again: at once)');
    sockets.close();
    server.close();
    workbench.close().then(
      () => process.exit(0),
      (error: unknown) => {
        tell(`attune: ${(error as Error).message}`);
        process.exit(1);
      },
    );
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, close);

  const url = workbenchUrl(options.host, port, guard.token);
  claim.tellUrl(url);
  console.log(url);
  if (!isLoopback(options.host)) tell(`attune: --host ${options.host}: who has the URL has your library, and nothing on the way is encrypted`);
  const tunnel = tunnelCommand(port);
  if (tunnel) tell(`Over SSH: run this on the machine you sit at, then open the URL there\n  ${tunnel}`);
  if (options.open && hasDisplay()) openBrowser(workbenchUrl(options.host, port, guard.issueTicket()));
}
