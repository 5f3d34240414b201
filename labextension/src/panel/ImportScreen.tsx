/**
 * Connections from an encrypted file: first what would happen, then only what the person has decided. Permissions never
 * come along.
 */
import type { TranslationBundle } from '@jupyterlab/translation';
import { useId, useRef, useState } from 'react';

import type { ImportedConnections, ImportPreview } from '../contracts';
import { messageOf } from '../errors';
import { FieldFrame } from '../form/FieldFrame';
import type { IConnections, IVault } from '../tokens';
import { Banner, NotSealed } from '../ui/notices';
import { exactly } from '../words/times';
import { ActionScreen } from './ActionScreen';
import type { Plan } from './ImportRow';
import { decisionOf, ImportRow, planFor } from './ImportRow';
import type { PassphraseHandle } from './PassphraseInput';
import { PassphraseInput } from './PassphraseInput';
import { ScreenHeader } from './ScreenHeader';

interface ImportScreenProps {
  connections: IConnections;
  vault: IVault;
  trans: TranslationBundle;
  onBack: () => void;
}

// More than the server takes; a film chosen by mistake is not read.
const MAX_FILE_BYTES = 1_000_000;

export function ImportScreen({ connections, vault, trans, onBack }: ImportScreenProps): JSX.Element {
  const [preview, setPreview] = useState<ImportPreview | null>(null);
  const [plans, setPlans] = useState<{ readonly [name: string]: Plan }>({});
  const [done, setDone] = useState<ImportedConnections | null>(null);
  const [isBusy, setBusy] = useState(false);
  const [problem, setProblem] = useState('');
  const chosen = useRef<HTMLInputElement>(null);
  const input = useRef<PassphraseHandle>(null);
  // The file's passphrase is sent twice, so it waits here meanwhile, outside React state.
  const held = useRef<{ file: string; passphrase: string } | null>(null);
  const id = useId();

  const attempt = async (action: () => Promise<void>): Promise<void> => {
    setBusy(true);
    setProblem('');
    try {
      await action();
    } catch (error) {
      setProblem(messageOf(error));
    }
    setBusy(false);
  };

  const look = async (): Promise<void> => {
    const file = chosen.current?.files?.[0];
    if (!file || file.size > MAX_FILE_BYTES) {
      setProblem(file ? trans.__('This file is too large to be an export.') : trans.__('Choose the file.'));
      return;
    }
    if (!input.current?.value) {
      setProblem(trans.__('Enter the passphrase.'));
      input.current?.focus();
      return;
    }
    const passphrase = input.current.take();
    await attempt(async () => {
      const text = await file.text();
      const found = await connections.previewImport(text, passphrase);
      held.current = { file: text, passphrase };
      setPlans(Object.fromEntries(found.connections.map(entry => [entry.name, planFor(entry)])));
      setPreview(found);
    });
  };

  const leave = (): void => {
    held.current = null;
    onBack();
  };

  const apply = (): Promise<void> =>
    attempt(async () => {
      const known = held.current;
      if (!known || !preview) {
        return;
      }
      const decisions = preview.connections.map(entry => decisionOf(entry, plans[entry.name]));
      setDone(await connections.import(known.file, known.passphrase, decisions));
      held.current = null;
    });

  if (done) {
    return (
      <section className="jp-connvault-screen" aria-label={trans.__('Import connections')} data-testid="connvault-imported">
        <ScreenHeader title={trans.__('Import connections')} onBack={leave} trans={trans} />
        <div className="jp-connvault-scroll">
          <Banner tone="ok" icon="check">
            {trans.__('%1 imported, %2 skipped.', done.connections.length, done.skipped.length)}
          </Banner>
          <p className="jp-connvault-note">{trans.__('Permissions did not come along: code asks for each of them.')}</p>
        </div>
      </section>
    );
  }
  if (preview) {
    const wanted = preview.connections.filter(entry => plans[entry.name].action !== 'skip').length;
    return (
      <ActionScreen
        title={trans.__('Import connections')}
        testId="connvault-import-preview"
        action={{
          words: isBusy ? trans.__('Importing …') : trans._n('Import %1 connection', 'Import %1 connections', wanted),
          testId: 'connvault-import-submit',
          isDisabled: isBusy || !wanted
        }}
        trans={trans}
        onAct={() => void apply()}
        onCancel={leave}
      >
        {problem && (
          <Banner tone="err" icon="warn" isAlert>
            {problem}
          </Banner>
        )}
        <p className="jp-connvault-note jp-mod-top">{trans.__('Exported %1. Nothing is changed yet.', exactly(preview.made_at))}</p>
        <ul className="jp-connvault-lines">
          {preview.connections.map(entry => (
            <ImportRow
              key={entry.name}
              entry={entry}
              plan={plans[entry.name]}
              trans={trans}
              onPlan={plan => setPlans({ ...plans, [entry.name]: plan })}
            />
          ))}
        </ul>
      </ActionScreen>
    );
  }
  return (
    <ActionScreen
      title={trans.__('Import connections')}
      testId="connvault-import-screen"
      action={{
        words: isBusy ? trans.__('Opening …') : trans.__('Look into it'),
        testId: 'connvault-import-look',
        isDisabled: isBusy
      }}
      trans={trans}
      onAct={() => void look()}
      onCancel={leave}
    >
      <FieldFrame id={`${id}-file`} label={trans.__('File')} hint={trans.__('One that connvault has exported.')} trans={trans}>
        <input id={`${id}-file`} ref={chosen} className="jp-connvault-input" data-testid="connvault-import-file" type="file" />
      </FieldFrame>
      <PassphraseInput
        ref={input}
        label={trans.__('Passphrase of the file')}
        problem={problem}
        testId="connvault-import-passphrase"
        trans={trans}
        onInput={() => setProblem('')}
      />
      <NotSealed seals={vault.seals} trans={trans} />
    </ActionScreen>
  );
}
