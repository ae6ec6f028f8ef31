/**
 * Stands in for the module `electron` so that the built main bundle runs under plain Node: preloaded (--import), it answers to that name,
 * remembers what it was asked for, and lets a test look at it and act as the person or the page (desktop.test.ts sends functions to call).
 * It shows nothing and renders nothing; only what src/main/desktop/ uses is here.
 */
import { EventEmitter } from 'node:events';
import { registerHooks } from 'node:module';
import process from 'node:process';
import { MessageChannel } from 'node:worker_threads';
import { createORPCClient } from '@orpc/client';
import { RPCLink } from '@orpc/client/message-port';

registerHooks({
  resolve(specifier, context, next) {
    return specifier === 'electron' ? { url: import.meta.url, shortCircuit: true } : next(specifier, context);
  },
});

const { locale = 'en-US', lock = true, displays = [{ x: 0, y: 0, width: 1920, height: 1080 }] } = JSON.parse(process.env.STAND_IN ?? '{}');
const schemes = {};
/** What was asked, by name; and the answers a person will give to the next message boxes. */
const asked = { switches: [], schemes: [], paths: {}, boxes: [], opened: [], revealed: [], files: [], menu: null };
const answers = [];

const cancelable = (details = {}) => ({ ...details, defaultPrevented: false, preventDefault() { this.defaultPrevented = true; } });

export const app = Object.assign(new EventEmitter(), {
  isPackaged: false,
  whenReady: () => Promise.resolve(),
  getLocale: () => locale,
  enableSandbox: () => (asked.sandbox = true),
  setPath: (name, path) => (asked.paths[name] = path),
  requestSingleInstanceLock: () => lock,
  commandLine: { appendSwitch: (...words) => asked.switches.push(words) },
  quit() {
    const event = cancelable();
    app.emit('before-quit', event);
    if (!event.defaultPrevented) app.exit(0);
  },
  exit: (code) => process.exit(code),
});

export class BrowserWindow extends EventEmitter {
  static all = [];
  static getAllWindows = () => [...BrowserWindow.all];
  static getFocusedWindow = () => null;

  constructor(options) {
    super();
    Object.assign(this, { options, shown: false, bounds: { x: 10, y: 20, width: options.width, height: options.height } });
    this.webContents = Object.assign(new EventEmitter(), {
      reloads: 0,
      reload() { this.reloads++; },
      setWindowOpenHandler(handler) { this.openHandler = handler; },
    });
    BrowserWindow.all.push(this);
    app.emit('web-contents-created', cancelable(), this.webContents);
    app.emit('browser-window-created', cancelable(), this);
  }

  async loadURL(url) { this.url = url; }
  show() { this.shown = true; }
  hide() { this.shown = false; }
  focus() {}
  isMinimized() { return false; }
  isMaximized() { return false; }
  isDestroyed() { return !BrowserWindow.all.includes(this); }
  getNormalBounds() { return this.bounds; }
  close() {
    const event = cancelable();
    this.emit('close', event);
    if (!event.defaultPrevented) BrowserWindow.all.splice(BrowserWindow.all.indexOf(this), 1);
  }
}

/** As MessagePortMain: messages come as events with `data`. */
class Port extends EventEmitter {
  constructor(port) {
    super();
    this.port = port;
    port.on('close', () => this.emit('close'));
  }
  start() { this.port.on('message', (data) => this.emit('message', { data })); }
  postMessage(data) { this.port.postMessage(data); }
  close() { this.port.close(); }
}

export class MessageChannelMain {
  constructor() {
    const { port1, port2 } = new MessageChannel();
    Object.assign(this, { port1: new Port(port1), port2: new Port(port2) });
  }
}

const handlers = {};
export const session = {
  defaultSession: {
    protocol: { handle: (scheme, handler) => (schemes[scheme] = handler) },
    webRequest: { onBeforeRequest: (handler) => (handlers.request = handler) },
    setPermissionRequestHandler: (handler) => (handlers.permissionRequest = handler),
    setPermissionCheckHandler: (handler) => (handlers.permissionCheck = handler),
    setDevicePermissionHandler: (handler) => (handlers.device = handler),
    setSpellCheckerEnabled: (on) => (asked.spellChecker = on),
  },
};
export const protocol = { registerSchemesAsPrivileged: (all) => asked.schemes.push(...all) };
export const ipcMain = new EventEmitter();
export const nativeTheme = { themeSource: 'system', shouldUseDarkColors: false };
export const screen = { getAllDisplays: () => displays.map((workArea) => ({ workArea })) };
export const shell = {
  openExternal: async (url) => void asked.opened.push(url),
  showItemInFolder: (path) => void asked.revealed.push(path),
};
export const Menu = { buildFromTemplate: (template) => template, setApplicationMenu: (menu) => (asked.menu = menu) };
const fileDialog = async (_window, options) => {
  asked.files.push(options);
  return { filePaths: ['/picked'], filePath: '/picked' };
};
export const dialog = {
  async showMessageBox(...args) {
    asked.boxes.push(args.at(-1));
    return { response: answers.shift() ?? 0 };
  },
  showOpenDialog: fileDialog,
  showSaveDialog: fileDialog,
};

/** Acts as a page that asks for its line: an RPC client over the port main hands it, or null when main does not answer. */
async function connect(url, parent = null) {
  const ports = await new Promise((resolve) => {
    const postMessage = (channel, _message, transferred) => resolve(channel === 'attune:port' ? transferred : null);
    const senderFrame = { url, parent, postMessage };
    ipcMain.emit('attune:connect', { senderFrame });
    setTimeout(resolve, 500, null);
  });
  if (!ports) return null;
  ports[0].start();
  return createORPCClient(new RPCLink({ port: ports[0] }));
}

const hands = { app, asked, answers, handlers, schemes, windows: BrowserWindow.all, ipcMain, nativeTheme, cancelable, connect };
process.on('message', async ({ id, code, argument }) => {
  try {
    const value = await new Function('hands', 'argument', `return (${code})(hands, argument)`)(hands, argument);
    process.send({ id, value: value === undefined ? null : value });
  } catch (error) {
    process.send({ id, error: error.stack });
  }
});
