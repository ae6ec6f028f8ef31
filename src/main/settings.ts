/** What a person set in the window, kept in the library; unknown or damaged values fall back to the defaults. */
import { Settings } from '../shared/api/workbench.ts';
import type { Changes } from './changes.ts';
import { getSetting, setSetting } from './db/settings.ts';
import type { Library } from './library.ts';

const KEY = 'window';
const DEFAULTS: Settings = {
  language: null, theme: null, quickstartHidden: false, trainDraft: null, pairDataset: null, rankingDataset: null, device: 'native',
  exportAbout: { author: '', organization: '', quantizedBy: '' },
};

export function readSettings({ db }: Library): Settings {
  return Settings.safeParse({ ...DEFAULTS, ...(getSetting(db, KEY) as Partial<Settings> | undefined) }).data ?? DEFAULTS;
}

export function saveSettings(library: Library, changes: Changes, changed: Partial<Settings>): Settings {
  const settings = { ...readSettings(library), ...changed };
  setSetting(library.db, KEY, settings);
  changes.tell('settings');
  return settings;
}
