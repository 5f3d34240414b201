/**
 * What opens the vault: its key slots, and the changes of them. Each change needs a passphrase that opens the vault, even
 * while it is unlocked.
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

interface VaultKeysProps {
  vault: IVault;
  state: VaultState;
  trans: TranslationBundle;
  onBack: () => void;
}

export function VaultKeys({ vault, state, trans, onBack }: VaultKeysProps): JSX.Element {
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
    <section className="jp-connvault-screen" aria-label={trans.__('What opens the vault')} data-testid="connvault-keys">
      <ScreenHeader title={trans.__('What opens the vault')} onBack={onBack} trans={trans} />
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
      </div>
      {hasPassphrase && (
        <div className="jp-connvault-foot">
          <button
            type="button"
            className="jp-connvault-button jp-mod-primary"
            data-testid="connvault-slot-add"
            onClick={() => begin({ kind: 'add' })}
          >
            {trans.__('Add another way')}
          </button>
        </div>
      )}
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
