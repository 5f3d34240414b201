import type { KeyboardEvent } from 'react';

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
