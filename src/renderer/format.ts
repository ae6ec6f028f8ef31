/** Numbers, sizes and times as people read them, in the window's language. Only words and digits: no layout. */
import { language } from './state/language.svelte.ts';
import * as m from './paraglide/messages.js';

/** 12,345 */
export function formatCount(value: number): string {
  return value.toLocaleString(language());
}

/** 5.8 M, 1.2 B: parameters and tokens. */
export function formatLarge(value: number): string {
  if (value < 10_000) return formatCount(value);
  const units = [[1e12, 'T'], [1e9, 'B'], [1e6, 'M'], [1e3, 'k']] as const;
  const [size, unit] = units.find(([size]) => value >= size)!;
  const scaled = value / size;
  return `${scaled.toLocaleString(language(), { maximumFractionDigits: scaled < 100 ? 1 : 0 })} ${unit}`;
}

/** 512 MB, decimal units. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const power = Math.min(units.length - 1, bytes < 1 ? 0 : Math.floor(Math.log10(bytes) / 3));
  const scaled = bytes / 1000 ** power;
  return `${scaled.toLocaleString(language(), { maximumFractionDigits: scaled < 10 && power > 0 ? 1 : 0 })} ${units[power]}`;
}

/** 45 s, 3 min 20 s, 2 h 5 min, 3 d 4 h. */
export function formatDuration(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) return m.time_seconds({ s: seconds < 10 ? seconds.toFixed(1) : whole });
  if (whole < 3600) return m.time_minutes({ min: Math.floor(whole / 60), s: whole % 60 });
  if (whole < 86_400) return m.time_hours({ h: Math.floor(whole / 3600), min: Math.floor((whole % 3600) / 60) });
  return m.time_days({ d: Math.floor(whole / 86_400), h: Math.floor((whole % 86_400) / 3600) });
}

/** Metrics: four significant digits, very small and large ones as powers. */
export function formatMetric(value: number | null | undefined): string {
  if (value === null || value === undefined || Number.isNaN(value)) return '–';
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e6) return formatCount(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(2);
  return value.toLocaleString(language(), { minimumSignificantDigits: 4, maximumSignificantDigits: 4, useGrouping: false });
}

export function formatPercent(share: number, digits = 1): string {
  return share.toLocaleString(language(), { style: 'percent', minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** 21 Nov, 14:05; the year where it is another one. */
export function formatDate(iso: string): string {
  const date = new Date(iso);
  const year = date.getFullYear() === new Date().getFullYear() ? undefined : 'numeric';
  return date.toLocaleString(language(), { year, month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit' });
}
