/**
 * Connections as one encrypted file. With their secrets, a passphrase of the vault is typed again; those that may not be
 * revealed are asked about by name, once more.
 */
import type { TranslationBundle } from '@jupyterlab/translation';
import { useRef, useState } from 'react';

import type { ExportedConnections } from '../contracts';
import { messageOf } from '../errors';
import type { IConnections, IVault } from '../tokens';
import { Banner, NotSealed } from '../ui/notices';
import { saveFile } from '../ui/saveFile';
import { ActionScreen } from './ActionScreen';
import { useChanged, useLoaded } from './hooks';
import type { NewPassphraseHandle } from './NewPassphrase';
import { NewPassphrase } from './NewPassphrase';
import type { PassphraseHandle } from './PassphraseInput';
import { PassphraseInput } from './PassphraseInput';

interface ExportScreenProps {
  connections: IConnections;
  vault: IVault;
  trans: TranslationBundle;
  onBack: () => void;
}

export function ExportScreen({ connections, vault, trans, onBack }: ExportScreenProps): JSX.Element {
  const changes = useChanged(vault.changed);
  const slots = useLoaded(() => vault.slots(), [vault, changes]);
  const [left, setLeft] = useState<ReadonlySet<string>>(new Set());
  const [withSecrets, setWithSecrets] = useState(false);
  /** Ids of the connections that go along although they may not be revealed. */
  const [although, setAlthough] = useState<readonly string[]>([]);
  const [made, setMade] = useState<ExportedConnections | null>(null);
  const [isBusy, setBusy] = useState(false);
  const [problem, setProblem] = useState('');
  const typed = useRef<NewPassphraseHandle>(null);
  const proof = useRef<PassphraseHandle>(null);
  const chosen = connections.items.filter(item => !left.has(item.connection.id));
  const hasPassphrase = (slots.value?.slots ?? []).some(slot => slot.kind === 'passphrase');
  const canExport = chosen.length > 0 && (!withSecrets || hasPassphrase);

  const act = async (): Promise<void> => {
    if (withSecrets && !proof.current?.value) {
      setProblem(trans.__('Enter the passphrase.'));
      proof.current?.focus();
      return;
    }
    const passphrase = typed.current?.take();
    if (!passphrase) {
      return;
    }
    const known = proof.current?.take() ?? '';
    setBusy(true);
    setProblem('');
    try {
      setMade(
        await connections.export({
          passphrase,
          ids: left.size ? chosen.map(item => item.connection.id) : null,
          ...(withSecrets ? { with_secrets: true, proof: { passphrase: known }, although_no_reveal: [...although] } : {})
        })
      );
    } catch (error) {
      setProblem(messageOf(error));
    }
    setBusy(false);
  };

  if (made) {
    return (
      <Made
        made={made}
        trans={trans}
        onBack={onBack}
        onInclude={ids => {
          setAlthough(ids);
          setMade(null);
        }}
      />
    );
  }
  return (
    <ActionScreen
      title={trans.__('Export connections')}
      testId="connvault-export-screen"
      action={{
        words: isBusy ? trans.__('Encrypting …') : trans._n('Export %1 connection', 'Export %1 connections', chosen.length),
        testId: 'connvault-export-submit',
        isDisabled: isBusy || !canExport
      }}
      trans={trans}
      onAct={() => void act()}
      onCancel={onBack}
    >
      {problem && !withSecrets && (
        <Banner tone="err" icon="warn" isAlert>
          {problem}
        </Banner>
      )}
      {although.length > 0 && (
        <Banner tone="warn" icon="warn" testId="connvault-export-although">
          {trans.__('With the secrets of: %1. They may not be revealed; in the file they can be read by whoever has its passphrase.', namesOf(connections, although))}
        </Banner>
      )}
      <fieldset className="jp-connvault-choices">
        <legend>{trans.__('Connections')}</legend>
        {connections.items.map(({ connection }) => (
          <label key={connection.id} className="jp-connvault-check">
            <input
              type="checkbox"
              data-testid={`connvault-export-${connection.name}`}
              checked={!left.has(connection.id)}
              onChange={event => {
                const next = new Set(left);
                if (event.target.checked) {
                  next.delete(connection.id);
                } else {
                  next.add(connection.id);
                }
                setLeft(next);
              }}
            />
            <span>{connection.name}</span>
          </label>
        ))}
      </fieldset>
      <fieldset className="jp-connvault-choices">
        <legend>{trans.__('Secrets')}</legend>
        <label className="jp-connvault-check">
          <input
            type="checkbox"
            data-testid="connvault-export-secrets"
            checked={withSecrets}
            onChange={event => {
              setWithSecrets(event.target.checked);
              setProblem('');
            }}
          />
          <span>{trans.__('With their secrets, encrypted')}</span>
        </label>
      </fieldset>
      {withSecrets && slots.value && !hasPassphrase && (
        <p className="jp-connvault-note" data-testid="connvault-export-terminal">
          {trans.__(
            'Secrets leave the vault for a passphrase only, and this vault has none. On a terminal, “jupyter connvault export” does it.'
          )}
        </p>
      )}
      {withSecrets && hasPassphrase && (
        <PassphraseInput
          ref={proof}
          label={trans.__('Passphrase of the vault')}
          hint={trans.__('Also while it is unlocked: programs of yours could click here too.')}
          problem={problem}
          testId="connvault-proof"
          trans={trans}
          onInput={() => setProblem('')}
        />
      )}
      <NewPassphrase
        ref={typed}
        label={trans.__('Passphrase of the file')}
        ifLost={trans.__('Without it nobody can open the file.')}
        minimum={vault.state?.minimum_passphrase_chars ?? 10}
        problem=""
        trans={trans}
        onInput={() => setProblem('')}
      />
      <NotSealed seals={vault.seals} trans={trans} />
    </ActionScreen>
  );
}

interface MadeProps {
  made: ExportedConnections;
  trans: TranslationBundle;
  onBack: () => void;
  /** Begins again, with the secrets of these too. */
  onInclude: (ids: readonly string[]) => void;
}

function Made({ made, trans, onBack, onInclude }: MadeProps): JSX.Element {
  const withheld = made.connections.filter(item => item.without_secrets === 'no_reveal');
  const lost = made.connections.filter(
    item => item.without_secrets === 'unreadable' || item.without_secrets === 'provider_missing'
  );
  const whole = made.connections.filter(item => item.secrets.length > 0).length;
  return (
    <ActionScreen
      title={trans.__('Export connections')}
      testId="connvault-exported"
      action={{ words: trans.__('Save the file'), testId: 'connvault-export-save', isDisabled: false }}
      trans={trans}
      onAct={() => {
        saveFile(`connections-${new Date().toISOString().slice(0, 10)}.connvault`, [made.file], 'text/plain');
        onBack();
      }}
      onCancel={onBack}
    >
      <Banner tone="ok" icon="check">
        {trans._n('%1 connection, %2 with its secrets.', '%1 connections, %2 with their secrets.', made.connections.length, whole)}
      </Banner>
      {withheld.length > 0 && (
        <Banner
          tone="warn"
          icon="lock"
          testId="connvault-export-withheld"
          action={
            <button
              type="button"
              className="jp-connvault-button jp-mod-link"
              data-testid="connvault-export-include"
              onClick={() => onInclude(withheld.map(item => item.id))}
            >
              {trans.__('Include them …')}
            </button>
          }
        >
          {trans.__('Without their secrets, as they may not be revealed: %1.', withheld.map(item => item.name).join(', '))}
        </Banner>
      )}
      {lost.length > 0 && (
        <Banner tone="err" icon="warn">
          {trans.__('Their secrets can not be read: %1.', lost.map(item => item.name).join(', '))}
        </Banner>
      )}
      {made.left_out.length > 0 && (
        <Banner tone="err" icon="warn" testId="connvault-export-left-out">
          {trans.__(
            'Not in the file: %1. They were changed outside connvault. Review and save them first.',
            made.left_out.map(item => item.name).join(', ')
          )}
        </Banner>
      )}
    </ActionScreen>
  );
}

function namesOf(connections: IConnections, ids: readonly string[]): string {
  return ids.map(id => connections.get(id)?.connection.name ?? id).join(', ');
}
