/**
 * An input for a passphrase with its label. What is typed is never in React state: it is taken out when it is sent.
 */
import type { TranslationBundle } from '@jupyterlab/translation';
import type { KeyboardEvent, ReactNode } from 'react';
import { forwardRef, useId, useImperativeHandle, useRef } from 'react';

import { FieldFrame } from '../form/FieldFrame';

/** What the form around it calls. */
export interface PassphraseHandle {
  readonly value: string;
  /** The passphrase, and empties the input. */
  take(): string;
  focus(): void;
}

interface PassphraseInputProps {
  label: string;
  hint?: ReactNode;
  problem: string;
  testId: string;
  /** Whether a password manager may suggest one. */
  isNew?: boolean;
  autoFocus?: boolean;
  trans: TranslationBundle;
  onInput: (typed: string) => void;
  onKeyDown?: (event: KeyboardEvent) => void;
}

export const PassphraseInput = forwardRef<PassphraseHandle, PassphraseInputProps>(function PassphraseInput(props, handle) {
  const { hint, problem } = props;
  const input = useRef<HTMLInputElement>(null);
  const id = useId();

  useImperativeHandle(handle, () => ({
    get value() {
      return input.current?.value ?? '';
    },
    take: () => {
      const typed = input.current?.value ?? '';
      if (input.current) {
        input.current.value = '';
      }
      return typed;
    },
    focus: () => input.current?.focus()
  }));

  return (
    <FieldFrame id={id} label={props.label} hint={hint} problem={problem} trans={props.trans}>
      <input
        id={id}
        ref={input}
        className="jp-connvault-input"
        data-testid={props.testId}
        type="password"
        autoComplete={props.isNew ? 'new-password' : 'off'}
        autoFocus={props.autoFocus}
        aria-invalid={problem ? true : undefined}
        aria-describedby={hint ? `${id}__error ${id}__help` : `${id}__error`}
        onInput={event => props.onInput(event.currentTarget.value)}
        onKeyDown={props.onKeyDown}
      />
    </FieldFrame>
  );
});
