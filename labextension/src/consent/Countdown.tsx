/**
 * How long a question can still be answered; shown on the Deny button, because no answer means deny.
 */
import type { TranslationBundle } from '@jupyterlab/translation';

/** How often it is drawn, in milliseconds: more than once a second, so that no second is skipped. */
export const TICK_MS = 250;

/** Returns the whole seconds left; 0 or less if the time is over. Both times are milliseconds of the same clock. */
export function remainingSeconds(endsAt: number, now: number): number {
  return Math.ceil((endsAt - now) / 1000);
}

export function Countdown({ remainingS, trans }: { remainingS: number; trans: TranslationBundle }): JSX.Element {
  return (
    <span className="jp-connvault-clock" aria-hidden="true" data-testid="connvault-countdown">
      {trans.__('%1 s', Math.max(0, remainingS))}
    </span>
  );
}
