/** What this workbench is and runs on. The device is what an engine process says of itself, asked once after it was chosen. */
import { availableParallelism, homedir, totalmem } from 'node:os';
import type { About } from '../shared/api/workbench.ts';
import type { DeviceName } from '../shared/devices.ts';
import { describeDevice } from './devices.ts';
import { VERSION } from './paths.ts';
import { readSettings } from './settings.ts';
import type { Workbench } from './workbench.ts';

let asked: { name: DeviceName; description: Promise<string> } | null = null;

export async function about({ shell, library }: Pick<Workbench, 'shell' | 'library'>): Promise<About> {
  const name = readSettings(library).device;
  if (asked?.name !== name) asked = { name, description: tell(name) };
  return {
    version: VERSION,
    shell: { kind: shell.kind, fileDialogs: shell.choose !== null, pdf: shell.printPdf !== null },
    platform: process.platform as About['platform'],
    library: library.folder,
    home: homedir(),
    device: { description: await asked.description, threads: availableParallelism(), memoryBytes: totalmem() },
  };
}

/** Never throws: a machine whose kernels do not load still has a window that says so. */
async function tell(name: DeviceName): Promise<string> {
  const { description, problem } = await describeDevice(name);
  if (problem !== null) asked = null; // it may be mended meanwhile
  return description ?? problem!;
}
