/** Where the window was and how large, kept in a file of the library; what does not fit today's displays is not believed. */
import { type BrowserWindow, type Rectangle, screen } from 'electron';
import { readFileSync, writeFileSync } from 'node:fs';
import { z } from 'zod';

const WindowState = z.object({ x: z.int().optional(), y: z.int().optional(), width: z.int().min(720), height: z.int().min(480), maximized: z.boolean() });
export type WindowState = z.infer<typeof WindowState>;

const FIRST: WindowState = { width: 1280, height: 800, maximized: false };
/** So much of a window must be on a display for a person to get hold of it, px. */
const VISIBLE = { width: 200, height: 100 };

export function readWindowState(file: string): WindowState {
  let state: WindowState;
  try {
    state = WindowState.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    return FIRST; // none yet, or not one of ours
  }
  const { x, y, width, height } = state;
  if (x === undefined || y === undefined) return state;
  const reachable = screen.getAllDisplays().some(({ workArea }) => {
    const seen = overlap({ x, y, width, height }, workArea);
    return seen.width >= VISIBLE.width && seen.height >= VISIBLE.height;
  });
  return reachable ? state : { ...FIRST, maximized: state.maximized };
}

/** Written when the window closes. */
export function keepWindowState(window: BrowserWindow, file: string): void {
  window.on('close', () => {
    const state: WindowState = { ...window.getNormalBounds(), maximized: window.isMaximized() };
    try {
      writeFileSync(file, JSON.stringify(state));
    } catch {
      // a full disk: the next window opens at the usual place
    }
  });
}

function overlap(a: Rectangle, b: Rectangle): { width: number; height: number } {
  return {
    width: Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x),
    height: Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y),
  };
}
