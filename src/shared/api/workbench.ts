/**
 * The workbench itself: what it runs on, what changed, long tasks, files of this machine, settings, the quickstart.
 * Nothing here knows a model or a row.
 */
import { eventIterator, oc, type } from '@orpc/contract';
import { z } from 'zod';
import { DeviceName, type DeviceState, type SelfTest } from '../devices.ts';
import { answers } from './answers.ts';

/** What a list on screen is made of; a change names the topic, and who shows it asks again. */
export type Topic = 'models' | 'datasets' | 'runs' | 'playground' | 'votes' | 'exports' | 'settings' | 'quickstart' | 'reports' | 'inspections';

export type About = {
  version: string;
  /** `fileDialogs`: files.choose opens the system's dialog. In the browser the workbench's own (files.list) is shown instead. */
  shell: { kind: 'electron' | 'browser'; fileDialogs: boolean; /** PDF files can be written; in the browser its own print dialog does it */ pdf: boolean };
  platform: 'linux' | 'darwin' | 'win32';
  library: string;
  home: string;
  /** What training really runs on. */
  device: { description: string; threads: number; memoryBytes: number };
};

export const Settings = z.strictObject({
  /** null: as the system says */
  language: z.enum(['en', 'ko']).nullable(),
  theme: z.enum(['light', 'dark']).nullable(),
  /** Bar of the first start put away. */
  quickstartHidden: z.boolean(),
  /** The recipe being written on the Train screen, as YAML. */
  trainDraft: z.string().max(100_000).nullable(),
  /** Dataset that pairs are saved to from the playground; null: not chosen yet. */
  pairDataset: z.string().max(100).nullable(),
  /** Where rankings of the playground go. */
  rankingDataset: z.string().max(100).nullable(),
  /** What runs started from the window train on, and its conversations run on. */
  device: DeviceName,
  /** Who exports, as files say it; empty: not said. */
  exportAbout: z.strictObject({ author: z.string().max(2000), organization: z.string().max(2000), quantizedBy: z.string().max(2000) }),
});
export type Settings = z.infer<typeof Settings>;

/** Something that takes more than a moment: an import, an export, an index being built. It lives in main and outlives the window that asked for it. */
export type Task = {
  id: number;
  kind: 'import' | 'export-dataset' | 'index' | 'export-model' | 'parity' | 'copy-model' | 'judge' | 'score' | 'best-of' | 'consistency' | 'weigh' | 'compare-weights';
  /** What it works on: a dataset's or model's name. */
  subject: string;
  state: 'running' | 'done' | 'failed' | 'cancelled';
  /** In `unit`s; total null while unknown. */
  done: number;
  total: number | null;
  unit: 'rows' | 'bytes' | 'tensors' | 'prompts' | 'steps' | 'pairs' | 'answers';
  secondsLeft: number | null;
  /** One sentence, when failed. */
  error: string | null;
  /** What came of it, for people: `1,000 rows, 3 left out`. */
  result: string | null;
  startedAt: string;
};

export type FolderEntry = { name: string; path: string; kind: 'folder' | 'file'; bytes: number | null; modifiedAt: string; /** a GGUF file, or config.json or adapter_config.json lies in it */ isModel: boolean };

/** The quickstart as a project: two runs and a comparison, each an ordinary one. */
export type QuickstartState = {
  stage: 'idle' | 'sft' | 'dpo' | 'compare' | 'done' | 'failed';
  sftRunId: number | null;
  dpoRunId: number | null;
  /** Playground session with base, SFT and DPO in columns; the further prompts are sessions of their own, above it in the list. */
  sessionId: number | null;
  /** The finished small run that ships with the workbench. */
  exampleRunId: number | null;
  error: string | null;
};

export const workbench = {
  about: answers<About>(),
  /** Starts with every topic once, so that a window that comes back asks for all. */
  changes: oc.output(eventIterator(type<{ topics: Topic[] }>())),
  settings: answers<Settings>(),
  saveSettings: oc.input(Settings.partial()).output(type<Settings>()),
  devices: answers<DeviceState[]>(),
  /** A few seconds; fails with what the device needs, where it cannot run. */
  testDevice: oc.input(z.strictObject({ device: DeviceName })).output(type<SelfTest>()),
};

export const tasks = {
  /** The whole list whenever it changes, at most ten times a second. Finished ones stay until dismissed. */
  watch: oc.output(eventIterator(type<Task[]>())),
  cancel: oc.input(z.strictObject({ id: z.int() })).output(type<void>()),
  dismiss: oc.input(z.strictObject({ id: z.int() })).output(type<void>()),
};

export const files = {
  /** The system's dialog; null when cancelled. Only where about.shell.fileDialogs. */
  choose: oc
    .input(
      z.strictObject({
        kind: z.enum(['file', 'folder', 'save']),
        title: z.string(),
        defaultName: z.string().optional(),
        extensions: z.array(z.string()).optional(),
      }),
    )
    .output(type<string | null>()),
  /** A folder of this machine, folders first; hidden ones left out. null: the home folder. */
  list: oc
    .input(z.strictObject({ folder: z.string().nullable() }))
    .output(type<{ folder: string; parent: string | null; entries: FolderEntry[] }>()),
  makeFolder: oc.input(z.strictObject({ folder: z.string(), name: z.string() })).output(type<string>()),
  /** Shows a file in the system's file manager. Electron only. */
  reveal: oc.input(z.strictObject({ path: z.string() })).output(type<void>()),
};

export const quickstart = {
  state: answers<QuickstartState>(),
  /** SFT, then DPO, then the comparison. Returns at once. */
  start: answers<QuickstartState>(),
  stop: answers<QuickstartState>(),
};
