/**
 * Keys where a form or a card may stand in a notebook's output, whose own shortcuts listen too.
 */
import type { FocusEvent, KeyboardEvent } from 'react';

/** In an output, keys on a focused control would run the notebook's shortcuts ("b" adds a cell). */
export function suppressShortcuts(event: FocusEvent<HTMLElement>): void {
  event.target.setAttribute('data-lm-suppress-shortcuts', 'true');
}

/**
 * Enter in a form submits it. In a notebook's output the browser's own submit never comes (a listener of the notebook
 * stops it), and the key would run a shortcut of the notebook; so it is done here, wherever the form is.
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
