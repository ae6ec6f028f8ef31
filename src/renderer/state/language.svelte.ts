/** Which language messages come in: the setting, else the system's. Messages are functions (`m.library_title()`); used in a template they follow a change at once. */
import { overwriteGetLocale } from '../paraglide/runtime.js';
import { workbench } from './workbench.svelte.ts';

export function language(): 'en' | 'ko' {
  return workbench.settings?.language ?? (navigator.language.startsWith('ko') ? 'ko' : 'en');
}
overwriteGetLocale(language);
