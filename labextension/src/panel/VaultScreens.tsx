/**
 * Sets up the protection of the secrets, and unlocks them. A passphrase is read from its input when it is sent, and the
 * input is emptied at once; it is never in React state.
 */
import type { TranslationBundle } from '@jupyterlab/translation';
import type { FormEvent } from 'react';
import { useRef, useState } from 'react';

import type { CustodianKind, VaultState } from '../contracts';
import { messageOf } from '../errors';
import { Icon } from '../ui/icons';
import { Banner, NotSealed } from '../ui/notices';
import { submitOnEnter } from '../ui/outputKeys';
import type { NewPassphraseHandle } from './NewPassphrase';
import { NewPassphrase } from './NewPassphrase';
import type { PassphraseHandle } from './PassphraseInput';
import { PassphraseInput } from './PassphraseInput';

interface SetupScreenProps {
  vault: VaultState;
  /** Whether a passphrase leaves this page sealed. */
  seals: boolean;
  trans: TranslationBundle;
  onSetUp: (custodian: CustodianKind, passphrase: string | null) => Promise<void>;
  onLater: () => void;
}

export function SetupScreen({ vault, seals, trans, onSetUp, onLater }: SetupScreenProps): JSX.Element {
  const [custodian, setCustodian] = useState<CustodianKind>(vault.default ?? 'passphrase');
  const [isBusy, setBusy] = useState(false);
  const [problem, setProblem] = useState('');
  const typed = useRef<NewPassphraseHandle>(null);
  const keyring = vault.choices.find(choice => choice.kind === 'os_keyring');
  const hasKeyring = keyring?.available ?? false;
  const canSetUp = vault.default !== null || vault.choices.some(choice => choice.available);

  const submit = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    if (isBusy) {
      return;
    }
    const passphrase = custodian === 'passphrase' ? (typed.current?.take() ?? null) : null;
    if (passphrase === null && custodian === 'passphrase') {
      return;
    }
    setBusy(true);
    try {
      await onSetUp(custodian, passphrase);
    } catch (error) {
      setProblem(messageOf(error));
      setBusy(false);
    }
  };

  return (
    <form
      className="jp-connvault-screen"
      data-testid="connvault-setup"
      noValidate
      autoComplete="off"
      onSubmit={event => void submit(event)}
      onKeyDown={submitOnEnter}
    >
      <div className="jp-connvault-header">
        <h2 className="jp-connvault-caption">{trans.__('Connections')}</h2>
      </div>
      <div className="jp-connvault-scroll">
        <div className="jp-connvault-hello">
          <Icon name="shield" className="jp-mod-big" />
          <h3>{trans.__('Protect your secrets')}</h3>
          <p>
            {custodian === 'os_keyring'
              ? trans.__(
                  'The key is kept in the system keyring (%1). It protects what is stored, and notebooks never need a passphrase.',
                  keyring?.label ?? ''
                )
              : hasKeyring
                ? trans.__('Choose a passphrase. You enter it once after each server start.')
                : trans.__(
                    'No system keyring answers on this machine. Choose a passphrase. You enter it once after each server start.'
                  )}
          </p>
        </div>
        {!vault.storing_allowed && (
          <Banner tone="warn" icon="warn">
            {vault.storing_detail || trans.__('This server is set up so that secrets cannot be stored.')}
          </Banner>
        )}
        {custodian === 'passphrase' ? (
          <>
            <NewPassphrase
              ref={typed}
              label={trans.__('Passphrase')}
              ifLost={trans.__('It is not stored. If you lose it, nobody can recover the saved secrets.')}
              minimum={vault.minimum_passphrase_chars}
              problem={problem}
              autoFocus
              trans={trans}
              onInput={() => setProblem('')}
            />
            <NotSealed seals={seals} trans={trans} />
          </>
        ) : (
          problem && (
            <Banner tone="err" icon="warn">
              {problem}
            </Banner>
          )
        )}
        {hasKeyring && (
          <div className="jp-connvault-field">
            <button
              type="button"
              className="jp-connvault-button jp-mod-link"
              data-testid="connvault-other-custodian"
              onClick={() => {
                setCustodian(custodian === 'passphrase' ? 'os_keyring' : 'passphrase');
                setProblem('');
              }}
            >
              {custodian === 'passphrase'
                ? trans.__('Use the system keyring instead')
                : trans.__('Use a passphrase instead')}
            </button>
          </div>
        )}
      </div>
      <div className="jp-connvault-foot">
        <button
          type="submit"
          className="jp-connvault-button jp-mod-primary"
          data-testid="connvault-setup-submit"
          disabled={isBusy || !canSetUp || !vault.storing_allowed}
        >
          {isBusy ? trans.__('Protecting …') : trans.__('Protect and continue')}
        </button>
        <span className="jp-connvault-grow" />
        <button
          type="button"
          className="jp-connvault-button jp-mod-link"
          data-testid="connvault-setup-later"
          onClick={onLater}
        >
          {trans.__('Not now')}
        </button>
      </div>
    </form>
  );
}

interface UnlockFormProps {
  vault: VaultState;
  /** Whether a passphrase leaves this page sealed. */
  seals: boolean;
  trans: TranslationBundle;
  onUnlock: (passphrase: string | null) => Promise<void>;
}

/** Unlocks the vault, on its own screen or above a form. It is not a `<form>`, so that it may be inside one. */
export function UnlockForm({ vault, seals, trans, onUnlock }: UnlockFormProps): JSX.Element {
  const [isBusy, setBusy] = useState(false);
  const [problem, setProblem] = useState('');
  const input = useRef<PassphraseHandle>(null);
  const needsPassphrase = vault.custodian === 'passphrase' || vault.custodian === null;

  const unlock = async (): Promise<void> => {
    if (isBusy) {
      return;
    }
    const passphrase = needsPassphrase ? (input.current?.value ?? '') : null;
    if (passphrase === '') {
      setProblem(trans.__('Enter the passphrase.'));
      input.current?.focus();
      return;
    }
    setBusy(true);
    input.current?.take();
    try {
      await onUnlock(passphrase);
    } catch (error) {
      setProblem(messageOf(error));
      setBusy(false);
      input.current?.focus();
    }
  };

  return (
    <div className="jp-connvault-unlock" role="group" aria-label={trans.__('Unlock the vault')} data-testid="connvault-unlock">
      <Icon name="lock" className="jp-mod-big" />
      <h3>{trans.__('The vault is locked')}</h3>
      <p>
        {needsPassphrase
          ? trans.__('Enter the passphrase. It is needed once after each server start.')
          : trans.__('The key is in the system keyring (%1). Your system may ask you to confirm.', vault.custodian_label)}
      </p>
      {needsPassphrase ? (
        <PassphraseInput
          ref={input}
          label={trans.__('Passphrase')}
          problem={problem}
          testId="connvault-unlock-passphrase"
          autoFocus
          trans={trans}
          onInput={() => setProblem('')}
          onKeyDown={event => {
            if (event.key === 'Enter' && !event.nativeEvent.isComposing) {
              event.preventDefault();
              event.stopPropagation();
              void unlock();
            }
          }}
        />
      ) : (
        problem && (
          <Banner tone="err" icon="warn">
            {problem}
          </Banner>
        )
      )}
      {needsPassphrase && <NotSealed seals={seals} trans={trans} />}
      <button
        type="button"
        className="jp-connvault-button jp-mod-primary"
        data-testid="connvault-unlock-submit"
        disabled={isBusy}
        onClick={() => void unlock()}
      >
        {isBusy ? trans.__('Unlocking …') : trans.__('Unlock')}
      </button>
    </div>
  );
}
