/**
 * The vault: what opens it (its key slots), and what is done with all of its connections. Each change of the slots needs a
 * passphrase that opens the vault, even while it is unlocked.
 */
import type { TranslationBundle } from '@jupyterlab/translation';
import { useState } from 'react';

import type { CustodianKind, SlotView, VaultState } from '../contracts';
import { foreignText } from '../foreignText';
import type { IVault } from '../tokens';
import type { IconName } from '../ui/icons';
import { Glyph } from '../ui/icons';
import { Banner, Waiting } from '../ui/notices';
import { Pill } from '../ui/Pill';
import { exactly, stamp } from '../words/times';
import { useChanged, useLoaded } from './hooks';
import { ScreenHeader } from './ScreenHeader';
import type { KeyChange } from './VaultKeyChange';
import { VaultKeyChange } from './VaultKeyChange';

const ICONS: { [kind in CustodianKind]: IconName } = { passphrase: 'key', os_keyring: 'lock', key_file: 'terminal' };

interface VaultPaneProps {
  vault: IVault;
  state: VaultState;
  trans: TranslationBundle;
  onBack: () => void;
  onExport: () => void;
  onImport: () => void;
}

export function VaultPane({ vault, state, trans, onBack, onExport, onImport }: VaultPaneProps): JSX.Element {
  const changes = useChanged(vault.changed);
  const { value, trouble } = useLoaded(() => vault.slots(), [vault, changes]);
  const [change, setChange] = useState<KeyChange | null>(null);
  const [done, setDone] = useState('');
  const slots = value?.slots ?? [];
  const hasPassphrase = slots.some(slot => slot.kind === 'passphrase');

  if (change) {
    return (
      <VaultKeyChange
        change={change}
        vault={vault}
        state={state}
        trans={trans}
        onDone={words => {
          setDone(words);
          setChange(null);
        }}
        onCancel={() => setChange(null)}
      />
    );
  }
  const begin = (next: KeyChange): void => {
    setDone('');
    setChange(next);
  };
  return (
    <section className="jp-connvault-screen" aria-label={trans.__('Vault')} data-testid="connvault-vault-pane">
      <ScreenHeader title={trans.__('Vault')} onBack={onBack} trans={trans} />
      <div className="jp-connvault-scroll">
        {trouble && (
          <Banner tone="err" icon="warn" isAlert>
            {trouble}
          </Banner>
        )}
        {done && (
          <Banner tone="ok" icon="check" testId="connvault-keys-done">
            {done}
          </Banner>
        )}
        {value?.changed_outside && (
          <Banner tone="err" icon="warn" isAlert testId="connvault-keys-changed">
            {slots.some(slot => slot.standing === 'foreign')
              ? trans.__(
                  'Somebody has changed the vault outside connvault. What is marked here gets no new keys. Remove it unless you know where it comes from.'
                )
              : trans.__(
                  'A way to open the vault was removed or moved outside connvault. The next change here makes the list whole again.'
                )}
          </Banner>
        )}
        <h3 className="jp-connvault-group">{trans.__('What opens it')}</h3>
        {!value && !trouble && <Waiting trans={trans} />}
        <ul className="jp-connvault-rows">
          {slots.map(slot => (
            <SlotRow
              key={slot.id}
              slot={slot}
              trans={trans}
              onRemove={hasPassphrase && slots.length > 1 ? () => begin({ kind: 'remove', slot }) : null}
            />
          ))}
        </ul>
        {value && !hasPassphrase && (
          <p className="jp-connvault-note" data-testid="connvault-keys-terminal">
            {trans.__(
              'Changes need a passphrase, and this vault has none. On a terminal, “jupyter connvault slots add” adds one.'
            )}
          </p>
        )}
        {hasPassphrase && (
          <div className="jp-connvault-actions">
            <button
              type="button"
              className="jp-connvault-button jp-mod-link"
              data-testid="connvault-slot-add"
              onClick={() => begin({ kind: 'add' })}
            >
              {trans.__('Add another way …')}
            </button>
            <button
              type="button"
              className="jp-connvault-button jp-mod-link"
              data-testid="connvault-passphrase-change"
              onClick={() => begin({ kind: 'passphrase' })}
            >
              {trans.__('Change a passphrase …')}
            </button>
            <button
              type="button"
              className="jp-connvault-button jp-mod-link"
              data-testid="connvault-rotate"
              onClick={() => begin({ kind: 'rotate' })}
            >
              {trans.__('Replace the master key …')}
            </button>
          </div>
        )}
        <h3 className="jp-connvault-group">{trans.__('Its connections as a file')}</h3>
        <p className="jp-connvault-note">{trans.__('Encrypted, under a passphrase of its own: to move to another machine, or to keep.')}</p>
        <div className="jp-connvault-actions">
          <button type="button" className="jp-connvault-button jp-mod-link" data-testid="connvault-export-all" onClick={onExport}>
            {trans.__('Export …')}
          </button>
          <button type="button" className="jp-connvault-button jp-mod-link" data-testid="connvault-import" onClick={onImport}>
            {trans.__('Import …')}
          </button>
        </div>
      </div>
    </section>
  );
}

function SlotRow({
  slot,
  trans,
  onRemove
}: {
  slot: SlotView;
  trans: TranslationBundle;
  onRemove: (() => void) | null;
}): JSX.Element {
  const isForeign = slot.standing === 'foreign';
  const label = foreignText(slot.label);
  return (
    <li className="jp-connvault-grant" data-testid={`connvault-slot-${slot.id}`}>
      <Glyph name={ICONS[slot.kind]} />
      <span className="jp-connvault-rowText" title={trans.__('Since %1', exactly(slot.created_at))}>
        <b>
          <bdi>{label}</bdi>
        </b>
        <small>{trans.__('%1 · since %2', kindWord(slot.kind, trans), stamp(slot.created_at, Date.now()))}</small>
        {isForeign && <Pill word={{ text: trans.__('Not from connvault'), tone: 'err' }} />}
      </span>
      {onRemove && (
        <button
          type="button"
          className="jp-connvault-button jp-mod-link"
          aria-label={trans.__('Remove %1', label)}
          data-testid={`connvault-slot-remove-${slot.id}`}
          onClick={onRemove}
        >
          {trans.__('Remove')}
        </button>
      )}
    </li>
  );
}

/** What kind of key this is. */
export function kindWord(kind: CustodianKind, trans: TranslationBundle): string {
  switch (kind) {
    case 'passphrase':
      return trans.__('passphrase');
    case 'os_keyring':
      return trans.__('system keyring');
    case 'key_file':
      return trans.__('key file');
  }
}
