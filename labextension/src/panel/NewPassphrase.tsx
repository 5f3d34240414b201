/**
 * A new passphrase, typed twice, with a meter. It is read from the inputs when it is needed, and they are emptied at
 * once; it is never in React state.
 */
import type { TranslationBundle } from '@jupyterlab/translation';
import { forwardRef, useImperativeHandle, useRef, useState } from 'react';

import type { PassphraseHandle } from './PassphraseInput';
import { PassphraseInput } from './PassphraseInput';
import type { Rating, Strength } from './strength';
import { strengthOf } from './strength';

/** What the form around it calls. */
export interface NewPassphraseHandle {
  /** The passphrase, and empties the inputs; `null` if it is too short or not the same twice, which is shown. */
  take(): string | null;
}

interface NewPassphraseProps {
  label: string;
  /** What it means to lose it. */
  ifLost: string;
  minimum: number;
  /** What the server says about the last one. */
  problem: string;
  autoFocus?: boolean;
  trans: TranslationBundle;
  onInput: () => void;
}

export const NewPassphrase = forwardRef<NewPassphraseHandle, NewPassphraseProps>(function NewPassphrase(props, handle) {
  const { minimum, trans } = props;
  const [short, setShort] = useState('');
  const [mismatch, setMismatch] = useState('');
  const [rating, setRating] = useState<Rating | null>(null);
  // The number of the latest rating asked for; an earlier one no longer fits what is typed.
  const asked = useRef(0);
  const first = useRef<PassphraseHandle>(null);
  const again = useRef<PassphraseHandle>(null);
  const problem = short || props.problem;

  const rate = (passphrase: string): void => {
    const mine = ++asked.current;
    const show = (found: Rating | null): void => {
      if (mine === asked.current) {
        setRating(found);
      }
    };
    if (!passphrase) {
      show(null);
      return;
    }
    // If the estimator can't be loaded (the page is offline), there is no meter; the minimum still applies.
    strengthOf(passphrase, minimum).then(show, () => show(null));
  };

  useImperativeHandle(handle, () => ({
    take: () => {
      const passphrase = first.current?.value ?? '';
      if ([...passphrase].length < minimum) {
        setShort(trans.__('Use at least %1 characters.', minimum));
        first.current?.focus();
        return null;
      }
      if (passphrase !== again.current?.value) {
        setMismatch(trans.__('The passphrases do not match. Type it again.'));
        again.current?.focus();
        return null;
      }
      first.current?.take();
      again.current?.take();
      rate('');
      return passphrase;
    }
  }));

  return (
    <>
      <PassphraseInput
        ref={first}
        label={props.label}
        problem={problem}
        hint={
          <>
            <span className="jp-connvault-meter" aria-hidden="true" data-strength={rating?.strength}>
              <span style={{ width: `${(rating?.share ?? 0) * 100}%` }} />
            </span>
            <span role="status" data-testid="connvault-strength">
              {problem ? '' : rating ? strengthWord(rating.strength, trans) : trans.__('At least %1 characters.', minimum)}{' '}
              {props.ifLost}
            </span>
          </>
        }
        testId="connvault-passphrase"
        isNew
        autoFocus={props.autoFocus}
        trans={trans}
        onInput={passphrase => {
          setShort('');
          props.onInput();
          rate(passphrase);
        }}
      />
      <PassphraseInput
        ref={again}
        label={trans.__('Repeat the passphrase')}
        problem={mismatch}
        testId="connvault-passphrase-again"
        isNew
        trans={trans}
        onInput={() => setMismatch('')}
      />
    </>
  );
});

function strengthWord(strength: Strength, trans: TranslationBundle): string {
  switch (strength) {
    case 'short':
      return trans.__('Too short.');
    case 'weak':
      return trans.__('Weak.');
    case 'fair':
      return trans.__('Fair.');
    case 'strong':
      return trans.__('Strong.');
  }
}
