/**
 * The window's page under Electron: served by a protocol of the program's own, so that it has an origin, headers and no file access.
 * Nothing else can be loaded, asked for or opened: every request to anywhere but the page is cancelled before it leaves.
 */
import { app, protocol, session, type WebContents } from 'electron';
import { contentHeaders } from '../content-policy.ts';
import { readRendererFile, rendererSources } from '../renderer-files.ts';

const SCHEME = 'app';
export const ORIGIN = `${SCHEME}://workbench`;
export const PAGE = `${ORIGIN}/`;

/** What Chromium would do on its own account. */
const QUIET = ['disable-background-networking', 'disable-component-update', 'disable-domain-reliability', 'no-pings', 'dns-prefetch-disable'];

/** Before the app is ready. */
export function preparePage(): void {
  protocol.registerSchemesAsPrivileged([{ scheme: SCHEME, privileges: { standard: true, secure: true, supportFetchAPI: true, codeCache: true } }]);
  for (const name of QUIET) app.commandLine.appendSwitch(name);
  app.commandLine.appendSwitch('host-resolver-rules', 'MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1');
  app.on('web-contents-created', (_event, contents) => confine(contents));
}

/** Once the app is ready, before the first window. `renderer`: folder or dev server. */
export function servePage(renderer: string): void {
  const { defaultSession } = session;
  const sources = rendererSources(renderer);
  const headers = contentHeaders(sources);
  defaultSession.protocol.handle(SCHEME, async ({ url, method }) => {
    const { host, pathname, search } = new URL(url);
    const file = host === 'workbench' && method === 'GET' ? await readRendererFile(renderer, pathname + search) : null;
    return file
      ? new Response(file.content, { headers: { ...headers, ...file.headers } })
      : new Response('Attune: there is nothing at this address.\n', { status: 404, headers: { ...headers, 'Content-Type': 'text/plain; charset=utf-8' } });
  });
  defaultSession.webRequest.onBeforeRequest(({ url }, decide) => {
    const own = url.startsWith(PAGE) || url.startsWith(`blob:${ORIGIN}/`) || url.startsWith('data:') || url.startsWith('devtools://');
    decide({ cancel: !own && !sources.some((source) => url.startsWith(`${source}/`)) });
  });
  // writing what a person copies is all a page needs
  const allowed = (permission: string, origin: string): boolean => permission === 'clipboard-sanitized-write' && origin.startsWith(ORIGIN);
  defaultSession.setPermissionRequestHandler((_contents, permission, decide, { requestingUrl }) => decide(allowed(permission, requestingUrl)));
  defaultSession.setPermissionCheckHandler((_contents, permission, origin) => allowed(permission, origin));
  defaultSession.setDevicePermissionHandler(() => false);
  defaultSession.setSpellCheckerEnabled(false); // it would fetch dictionaries
}

/** Is this address the page (whatever its #fragment)? */
export function isPage(url: string): boolean {
  return url.split('#')[0] === PAGE;
}

function confine(contents: WebContents): void {
  contents.on('will-navigate', (event) => {
    if (!isPage(event.url)) event.preventDefault();
  });
  contents.on('will-frame-navigate', (event) => {
    if (!isPage(event.url) || !event.isMainFrame) event.preventDefault();
  });
  contents.on('will-redirect', (event) => event.preventDefault());
  contents.on('will-attach-webview', (event) => event.preventDefault());
  contents.setWindowOpenHandler(() => ({ action: 'deny' }));
}
