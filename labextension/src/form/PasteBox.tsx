/**
 * A box to paste a URL or a command into. The text may hold a password, so it is parsed at once, is never in React
 * state, and does not stay in the box.
 */
import type { TranslationBundle } from '@jupyterlab/translation';
import { useId, useRef, useState } from 'react';

import { FieldFrame } from './FieldFrame';
import type { Pasted } from './paste';
import { parsePasted, PASTEABLE } from './paste';

interface PasteBoxProps {
  providerId: string;
  trans: TranslationBundle;
  onTake: (pasted: Pasted) => void;
  onCancel: () => void;
}

export function PasteBox(props: PasteBoxProps): JSX.Element {
  const { trans, providerId } = props;
  const id = useId();
  const input = useRef<HTMLInputElement>(null);
  const [problem, setProblem] = useState('');

  const take = (text: string): void => {
    const pasted = parsePasted(text);
    if (input.current) {
      input.current.value = '';
    }
    if (!pasted) {
      setProblem(trans.__('This URL or command is not recognised.'));
    } else if (pasted.providerId !== providerId) {
      setProblem(trans.__('This belongs to another kind of connection.'));
    } else {
      props.onTake(pasted);
    }
  };

  return (
    <div>
      <FieldFrame
        id={id}
        label={trans.__('URL or command')}
        hint={trans.__('A password in it goes into the password field only.')}
        problem={problem}
        trans={trans}
      >
        <span className="jp-connvault-line">
          <input
            id={id}
            ref={input}
            className="jp-connvault-input"
            data-testid="connvault-paste"
            autoFocus
            autoComplete="off"
            spellCheck={false}
            placeholder={PASTEABLE.get(providerId)}
            aria-describedby={`${id}__error ${id}__help`}
            onPaste={event => {
              event.preventDefault();
              take(event.clipboardData.getData('text/plain'));
            }}
            onKeyDown={event => {
              if (event.key === 'Enter' || event.key === 'Escape') {
                event.preventDefault();
                event.stopPropagation();
                if (event.key === 'Enter') {
                  take(event.currentTarget.value);
                } else {
                  props.onCancel();
                }
              }
            }}
          />
          <button type="button" className="jp-connvault-button" onClick={() => take(input.current?.value ?? '')}>
            {trans.__('Fill in')}
          </button>
        </span>
      </FieldFrame>
    </div>
  );
}
