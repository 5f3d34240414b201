/**
 * Keys in forms and cards that may be in a notebook's output, where the notebook's own shortcuts listen too.
 */
import type { FocusEvent, KeyboardEvent } from 'react';

/** Suppresses the notebook's shortcuts on a focused control in an output, where "b" would add a cell. */
export function suppressShortcuts(event: FocusEvent<HTMLElement>): void {
  event.target.setAttribute('data-lm-suppress-shortcuts', 'true');
}

/**
 * Submits a form on Enter. In a notebook's output the browser's own submit never happens (a listener of the notebook
 * stops it) and the key would run a shortcut of the notebook, so it is done here, wherever the form is.
 */
export function submitOnEnter(event: KeyboardEvent<HTMLFormElement>): void {
  event.stopPropagation();
  const target = event.target as HTMLElement;
  if (event.key !== 'Enter' || event.nativeEvent.isComposing || target.tagName !== 'INPUT') {
    return;
  }
  event.preventDefault();
  event.currentTarget.requestSubmit();
}
