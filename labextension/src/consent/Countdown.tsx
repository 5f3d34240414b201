/**
 * How long a question can still be answered, on the button that is meant if nobody does.
 */
import type { TranslationBundle } from '@jupyterlab/translation';

/** How often it is drawn, in milliseconds; finer than a second, so that no second is skipped. */
export const TICK_MS = 250;

/** Whole seconds until then; 0 or less if it is over. Both times in milliseconds, by one clock. */
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
