/**
 * Connections from an encrypted file: first what would happen, then only what the person has decided. Permissions never
 * come along.
 */
import type { TranslationBundle } from '@jupyterlab/translation';
import type { FormEvent } from 'react';
import { useId, useRef, useState } from 'react';

import type { ImportedConnections, ImportPreview } from '../contracts';
import { messageOf } from '../errors';
import { FieldFrame } from '../form/FieldFrame';
import type { IConnections, IVault } from '../tokens';
import { Banner, NotSealed } from '../ui/notices';
import { submitOnEnter } from '../ui/outputKeys';
import { exactly } from '../words/times';
import type { Plan } from './ImportRow';
import { decisionOf, ImportRow, planFor } from './ImportRow';
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
  const input = useRef<HTMLInputElement>(null);
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

  const look = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    const file = chosen.current?.files?.[0];
    const passphrase = input.current?.value ?? '';
    if (isBusy) {
      return;
    }
    if (!file || file.size > MAX_FILE_BYTES) {
      setProblem(file ? trans.__('This file is too large to be an export.') : trans.__('Choose the file.'));
      return;
    }
    if (!passphrase || !input.current) {
      setProblem(trans.__('Enter the passphrase.'));
      input.current?.focus();
      return;
    }
    input.current.value = '';
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
      <section className="jp-connvault-screen" aria-label={trans.__('Import connections')} data-testid="connvault-import-preview">
        <ScreenHeader title={trans.__('Import connections')} onBack={leave} trans={trans} />
        <div className="jp-connvault-scroll">
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
        </div>
        <div className="jp-connvault-foot">
          <button
            type="button"
            className="jp-connvault-button jp-mod-primary"
            data-testid="connvault-import-submit"
            disabled={isBusy || !wanted}
            onClick={() => void apply()}
          >
            {isBusy ? trans.__('Importing …') : trans._n('Import %1 connection', 'Import %1 connections', wanted)}
          </button>
          <button type="button" className="jp-connvault-button" onClick={leave}>
            {trans.__('Cancel')}
          </button>
        </div>
      </section>
    );
  }
  return (
    <form
      className="jp-connvault-screen"
      data-testid="connvault-import-screen"
      noValidate
      autoComplete="off"
      onSubmit={event => void look(event)}
      onKeyDown={submitOnEnter}
    >
      <ScreenHeader title={trans.__('Import connections')} onBack={leave} trans={trans} />
      <div className="jp-connvault-scroll">
        <FieldFrame id={`${id}-file`} label={trans.__('File')} hint={trans.__('One that connvault has exported.')} trans={trans}>
          <input id={`${id}-file`} ref={chosen} className="jp-connvault-input" data-testid="connvault-import-file" type="file" />
        </FieldFrame>
        <FieldFrame id={`${id}-passphrase`} label={trans.__('Passphrase of the file')} problem={problem} trans={trans}>
          <input
            id={`${id}-passphrase`}
            ref={input}
            className="jp-connvault-input"
            data-testid="connvault-import-passphrase"
            type="password"
            autoComplete="off"
            aria-invalid={problem ? true : undefined}
            aria-describedby={`${id}-passphrase__error`}
            onInput={() => setProblem('')}
          />
        </FieldFrame>
        <NotSealed seals={vault.seals} trans={trans} />
      </div>
      <div className="jp-connvault-foot">
        <button
          type="submit"
          className="jp-connvault-button jp-mod-primary"
          data-testid="connvault-import-look"
          disabled={isBusy}
        >
          {isBusy ? trans.__('Opening …') : trans.__('Look into it')}
        </button>
        <button type="button" className="jp-connvault-button" onClick={leave}>
          {trans.__('Cancel')}
        </button>
      </div>
    </form>
  );
}
