/**
 * Points in time and lengths of time in few words, in the language of the interface.
 */
import type { TranslationBundle } from '@jupyterlab/translation';

const STEPS: [limit: number, seconds: number, unit: Intl.RelativeTimeFormatUnit][] = [
  [60 * 60, 60, 'minute'],
  [24 * 60 * 60, 60 * 60, 'hour'],
  [7 * 24 * 60 * 60, 24 * 60 * 60, 'day'],
  [30 * 24 * 60 * 60, 7 * 24 * 60 * 60, 'week'],
  [365 * 24 * 60 * 60, 30 * 24 * 60 * 60, 'month'],
  [Infinity, 365 * 24 * 60 * 60, 'year']
];

function language(): string {
  return document.documentElement.lang || 'en';
}

/** "2 days ago", "just now". */
export function ago(time: string, now: number, trans: TranslationBundle): string {
  const seconds = Math.max(0, (now - Date.parse(time)) / 1000);
  if (seconds < 60) {
    return trans.__('just now');
  }
  const [, length, unit] = STEPS.find(([limit]) => seconds < limit) ?? STEPS[STEPS.length - 1];
  return new Intl.RelativeTimeFormat(language(), { numeric: 'auto' }).format(-Math.floor(seconds / length), unit);
}

/** "09:41" today, "Mon" within six days, otherwise "3 May". */
export function stamp(time: string, now: number): string {
  const moment = new Date(time);
  const today = new Date(now);
  if (moment.toDateString() === today.toDateString()) {
    return moment.toLocaleTimeString(language(), { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
  }
  if (now - moment.getTime() < 6 * 24 * 60 * 60 * 1000) {
    return moment.toLocaleDateString(language(), { weekday: 'short' });
  }
  return moment.toLocaleDateString(language(), { day: 'numeric', month: 'short' });
}

/** The full date and time, for a tooltip. */
export function exactly(time: string): string {
  return new Date(time).toLocaleString(language());
}

/** "8 hours", "1 hour", "30 minutes", "7 days". */
export function length(seconds: number, trans: TranslationBundle): string {
  const hours = seconds / 3600;
  if (hours >= 48 && Number.isInteger(hours / 24)) {
    return trans._n('%1 day', '%1 days', hours / 24);
  }
  if (Number.isInteger(hours) && hours > 0) {
    return trans._n('%1 hour', '%1 hours', hours);
  }
  const minutes = Math.max(1, Math.round(seconds / 60));
  return trans._n('%1 minute', '%1 minutes', minutes);
}
