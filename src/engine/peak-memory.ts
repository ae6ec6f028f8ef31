/** The most memory this process has held. */
import { readFileSync } from 'node:fs';

/** Resident bytes. Linux counts in getrusage's maximum what the process that started this one held then, so its own is read from /proc. */
export function peakMemory(): number {
  if (process.platform === 'linux') {
    const own = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'));
    if (own) return Number(own[1]) * 1024;
  }
  return process.resourceUsage().maxRSS * 1024;
}
