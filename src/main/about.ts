/** What this workbench is and runs on. The device is what an engine process says of itself, asked once. */
import { availableParallelism, homedir, totalmem } from 'node:os';
import type { About } from '../shared/api/workbench.ts';
import { startEngine } from './engine.ts';
import { VERSION } from './paths.ts';
import type { Workbench } from './workbench.ts';

let device: Promise<string> | null = null;

export async function about({ shell, library }: Pick<Workbench, 'shell' | 'library'>): Promise<About> {
  device ??= askDevice();
  return {
    version: VERSION,
    shell: { kind: shell.kind, fileDialogs: shell.choose !== null, pdf: shell.printPdf !== null },
    platform: process.platform as About['platform'],
    library: library.folder,
    home: homedir(),
    device: { description: await device, threads: availableParallelism(), memoryBytes: totalmem() },
  };
}

/** Never throws: a machine whose kernels do not load still has a window that says so. */
async function askDevice(): Promise<string> {
  try {
    for await (const event of startEngine({ type: 'device', device: 'native', threads: 0 }).events) if (event.type === 'ready') return event.device;
    return 'unknown';
  } catch (error) {
    device = null; // it may be mended meanwhile
    return (error as Error).message;
  }
}
