/**
 * One change of what opens the vault, on a screen of its own. Passphrases are read from their inputs when they are sent,
 * and the inputs are emptied at once.
 */
import type { TranslationBundle } from '@jupyterlab/translation';
import { useId, useRef, useState } from 'react';

import type { CustodianKind, SlotView, VaultState } from '../contracts';
import { messageOf } from '../errors';
import { FieldFrame } from '../form/FieldFrame';
import { foreignText } from '../foreignText';
import type { IVault, NewSlot } from '../tokens';
import { Icon } from '../ui/icons';
import { NotSealed } from '../ui/notices';
import { ActionScreen } from './ActionScreen';
import type { NewPassphraseHandle } from './NewPassphrase';
import { NewPassphrase } from './NewPassphrase';
import type { PassphraseHandle } from './PassphraseInput';
import { PassphraseInput } from './PassphraseInput';

export type KeyChange = { kind: 'add' } | { kind: 'remove'; slot: SlotView } | { kind: 'passphrase' } | { kind: 'rotate' };

interface VaultKeyChangeProps {
  change: KeyChange;
  vault: IVault;
  state: VaultState;
  trans: TranslationBundle;
  /** `words`: what has been done. */
  onDone: (words: string) => void;
  onCancel: () => void;
}

export function VaultKeyChange({ change, vault, state, trans, onDone, onCancel }: VaultKeyChangeProps): JSX.Element {
  const [added, setAdded] = useState<CustodianKind>('passphrase');
  const [isBusy, setBusy] = useState(false);
  const [problem, setProblem] = useState('');
  const typed = useRef<NewPassphraseHandle>(null);
  const proof = useRef<PassphraseHandle>(null);
  const label = useRef<HTMLInputElement>(null);
  const id = useId();
  const words = wordsOf(change, trans);
  const needsNew = change.kind === 'passphrase' || (change.kind === 'add' && added === 'passphrase');

  const act = async (): Promise<void> => {
    if (!proof.current?.value) {
      setProblem(trans.__('Enter the passphrase.'));
      proof.current?.focus();
      return;
    }
    const next = needsNew ? (typed.current?.take() ?? null) : null;
    if (needsNew && next === null) {
      return;
    }
    const known = proof.current.take();
    setBusy(true);
    try {
      await send(vault, change, { kind: added, label: label.current?.value.trim() || null, passphrase: next }, known);
    } catch (error) {
      setProblem(messageOf(error));
      setBusy(false);
      proof.current?.focus();
      return;
    }
    onDone(words.done);
  };

  return (
    <ActionScreen
      title={words.title}
      testId="connvault-key-change"
      action={{
        words: isBusy ? trans.__('Working …') : words.button,
        testId: 'connvault-key-change-submit',
        isDisabled: isBusy,
        isDanger: change.kind === 'remove'
      }}
      trans={trans}
      onAct={() => void act()}
      onCancel={onCancel}
    >
      <p className="jp-connvault-note jp-mod-top">{words.explanation}</p>
      {change.kind === 'add' && (
        <FieldFrame id={`${id}-kind`} label={trans.__('Opened by')} trans={trans}>
          <span className="jp-connvault-select">
            <select
              id={`${id}-kind`}
              className="jp-connvault-input"
              data-testid="connvault-slot-kind"
              value={added}
              onChange={event => setAdded(event.target.value as CustodianKind)}
            >
              {state.choices
                .filter(choice => choice.available)
                .map(choice => (
                  <option key={choice.kind} value={choice.kind}>
                    {choice.kind === 'passphrase' ? trans.__('Another passphrase') : choice.label}
                  </option>
                ))}
            </select>
            <Icon name="next" className="jp-connvault-chevron" />
          </span>
        </FieldFrame>
      )}
      {change.kind === 'add' && (
        <FieldFrame
          id={`${id}-label`}
          label={trans.__('Name')}
          required={false}
          hint={trans.__('By which you will know it later.')}
          trans={trans}
        >
          <input
            id={`${id}-label`}
            ref={label}
            className="jp-connvault-input"
            data-testid="connvault-slot-label"
            maxLength={60}
            autoComplete="off"
            aria-describedby={`${id}-label__help`}
          />
        </FieldFrame>
      )}
      <PassphraseInput
        ref={proof}
        label={change.kind === 'passphrase' ? trans.__('Present passphrase') : trans.__('Passphrase')}
        hint={
          change.kind === 'passphrase'
            ? undefined
            : trans.__('One that opens the vault, also while it is unlocked: programs of yours could click here too.')
        }
        problem={problem}
        testId="connvault-proof"
        autoFocus
        trans={trans}
        onInput={() => setProblem('')}
      />
      {needsNew && (
        <NewPassphrase
          ref={typed}
          label={trans.__('New passphrase')}
          ifLost={trans.__('It is not stored anywhere.')}
          minimum={state.minimum_passphrase_chars}
          problem=""
          trans={trans}
          onInput={() => setProblem('')}
        />
      )}
      <NotSealed seals={vault.seals} trans={trans} />
    </ActionScreen>
  );
}

function send(
  vault: IVault,
  change: KeyChange,
  added: NewSlot,
  known: string
): Promise<void> {
  switch (change.kind) {
    case 'add':
      return vault.addSlot(added, known);
    case 'remove':
      return vault.removeSlot(change.slot.id, known);
    case 'passphrase':
      return vault.changePassphrase(known, added.passphrase ?? '');
    case 'rotate':
      return vault.rotate(known);
  }
}

interface Words {
  title: string;
  explanation: string;
  button: string;
  done: string;
}

function wordsOf(change: KeyChange, trans: TranslationBundle): Words {
  switch (change.kind) {
    case 'add':
      return {
        title: trans.__('Add another way'),
        explanation: trans.__('Each of them opens the vault alone: a second passphrase, this machine’s keyring, or a key file.'),
        button: trans.__('Add'),
        done: trans.__('Added.')
      };
    case 'remove':
      return {
        title: trans.__('Remove %1', foreignText(change.slot.label)),
        explanation: trans.__(
          'It will no longer open the vault. All secrets are sealed under a new key, so it opens nothing that is stored from now on. A copy of the vault from before still opens with it.'
        ),
        button: trans.__('Remove'),
        done: trans.__('Removed. All secrets are sealed under a new key.')
      };
    case 'passphrase':
      return {
        title: trans.__('Change a passphrase'),
        explanation: trans.__(
          'All secrets are sealed under a new key. If somebody knew the old passphrase and has a copy of the vault, also change the passwords that were in it.'
        ),
        button: trans.__('Change'),
        done: trans.__('Changed. All secrets are sealed under a new key.')
      };
    case 'rotate':
      return {
        title: trans.__('Replace the master key'),
        explanation: trans.__('All secrets are sealed under a new key. Everything that opens the vault stays as it is.'),
        button: trans.__('Replace'),
        done: trans.__('Replaced. All secrets are sealed under a new key.')
      };
  }
}
