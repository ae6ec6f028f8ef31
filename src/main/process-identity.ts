/**
 * Says which process owns a piece of work in the library, and whether that process still lives, so that what a killed one left is recognised.
 * A pid alone is not enough: pids are used again. Where the system tells when a process started (Linux), that is part of the name.
 */
import { readFileSync } from 'node:fs';

/** `pid` or `pid:start` of this process. */
export const OWNER = name(process.pid);

/** True while the process that called itself `owner` runs on this machine. */
export function isAlive(owner: string): boolean {
  const pid = Number(owner.split(':')[0]);
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false; // EPERM: it lives, and is another user's
  }
  return name(pid) === owner;
}

function name(pid: number): string {
  if (process.platform !== 'linux') return String(pid);
  try {
    // proc(5): the name in parentheses may hold spaces; field 22, the start in clock ticks, is the 20th after it. Z is dead, not yet reaped
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)!.split(' ');
    return fields[0] === 'Z' ? 'gone' : `${pid}:${fields[19]}`;
  } catch {
    return 'gone';
  }
}
