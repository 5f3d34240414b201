/**
 * The pane with the list: what is waiting, what is wrong, all connections, and the vault at the bottom.
 */
import { useState } from 'react';

import { fileName, foreignText } from '../foreignText';
import { connectionOf } from '../models/navigation';
import { Icon } from '../ui/icons';
import { Banner } from '../ui/notices';
import { custodianWord } from '../words/status';
import { ConnectionList } from './ConnectionList';
import type { PanelProps } from './panelProps';

export function ListPane(props: PanelProps & { onSetUp: () => void }): JSX.Element {
  const { connvault, navigation, trans } = props;
  const { connections, questions, workspaces } = connvault;
  const state = connvault.vault.state;
  const waiting = questions.items.length;
  const selected = connections.get(connectionOf(navigation.screen))?.connection.id ?? null;

  return (
    <section className="jp-connvault-main" aria-label={trans.__('List')}>
      <header className="jp-connvault-header">
        <h2 className="jp-connvault-caption">{trans.__('Connections')}</h2>
        <button
          type="button"
          className="jp-connvault-button jp-mod-primary"
          data-testid="connvault-new"
          aria-label={trans.__('New connection')}
          onClick={() => navigation.go({ name: 'picker' })}
        >
          <Icon name="plus" />
          {trans.__('New')}
        </button>
      </header>
      {waiting > 0 && (
        <div className="jp-connvault-ask" role="status" data-testid="connvault-question-banner">
          <Icon name="key" />
          <span className="jp-connvault-rowText">
            <b>{trans._n('%1 request waiting', '%1 requests waiting', waiting)}</b>
            <small>
              {trans.__(
                '%1 asks for %2',
                fileName(questions.items[0].question.requester.label),
                foreignText(questions.items[0].question.connection)
              )}
            </small>
          </span>
          <button
            type="button"
            className="jp-connvault-button jp-mod-link"
            data-testid="connvault-answer"
            onClick={props.onAnswer}
          >
            {trans.__('Answer')}
          </button>
        </div>
      )}
      {connections.trouble && (
        <Banner
          tone="err"
          icon="warn"
          testId="connvault-trouble"
          action={
            <button
              type="button"
              className="jp-connvault-button"
              onClick={() => {
                void connections.refresh();
                void connvault.vault.refresh();
              }}
            >
              {trans.__('Try again')}
            </button>
          }
        >
          {connections.trouble}
        </Banner>
      )}
      {workspaces.waiting > 0 && (
        <Banner
          tone="warn"
          icon="key"
          testId="connvault-workspaces-banner"
          action={
            <button
              type="button"
              className="jp-connvault-button jp-mod-link"
              data-testid="connvault-workspaces-open"
              onClick={() => navigation.go({ name: 'workspaces' })}
            >
              {trans.__('Review')}
            </button>
          }
        >
          {trans._n(
            '%1 connection of a project needs you',
            '%1 connections of projects need you',
            workspaces.waiting
          )}
        </Banner>
      )}
      {connections.unreadable > 0 && (
        <Banner tone="warn" icon="warn">
          {trans._n(
            '%1 entry could not be read and is not shown.',
            '%1 entries could not be read and are not shown.',
            connections.unreadable
          )}
        </Banner>
      )}
      {connections.isReady && !connections.items.length && !connections.trouble ? (
        <div className="jp-connvault-scroll">
          <div className="jp-connvault-hello">
            <Icon name="plug" className="jp-mod-big" />
            <h3>{trans.__('No connections yet')}</h3>
            <p>{trans.__('Define a connection once. Notebooks then ask for it by name and contain no password.')}</p>
            <button
              type="button"
              className="jp-connvault-button"
              data-testid="connvault-new-first"
              onClick={() => navigation.go({ name: 'picker' })}
            >
              {trans.__('New connection')}
            </button>
          </div>
        </div>
      ) : (
        <ConnectionList
          items={connections.items}
          providers={connections.providers}
          revealAllowed={connections.revealAllowed}
          vault={state?.state}
          selected={selected}
          trans={trans}
          onOpen={connectionId => navigation.go({ name: 'detail', connectionId, tab: 'details' })}
          onNew={() => navigation.go({ name: 'picker' })}
        />
      )}
      {state?.hardening_detail && (
        <Exposure
          testId="connvault-hardening"
          summary={trans.__('connvault is less protected here than it should be.')}
          detail={state.hardening_detail}
          trans={trans}
        />
      )}
      {props.exposure && (
        <Exposure
          testId="connvault-exposure"
          summary={trans.__('This server is not protected from your other programs.')}
          detail={props.exposure}
          trans={trans}
        />
      )}
      {state && <VaultFoot {...props} />}
    </section>
  );
}

function Exposure({
  testId,
  summary,
  detail,
  trans
}: { testId: string; summary: string; detail: string } & Pick<PanelProps, 'trans'>): JSX.Element {
  const [isOpen, setOpen] = useState(false);
  return (
    <div className="jp-connvault-exposure" data-testid={testId}>
      <span>{summary}</span>{' '}
      <button
        type="button"
        className="jp-connvault-button jp-mod-link"
        aria-expanded={isOpen}
        onClick={() => setOpen(!isOpen)}
      >
        {isOpen ? trans.__('Less') : trans.__('What does this mean?')}
      </button>
      {isOpen && <p>{detail}</p>}
    </div>
  );
}

function VaultFoot({ connvault, navigation, trans, onSetUp }: PanelProps & { onSetUp: () => void }): JSX.Element | null {
  const { vault } = connvault;
  const state = vault.state;
  if (!state) {
    return null;
  }
  const [text, action, testId, act] =
    state.state === 'unlocked'
      ? [
          trans.__('Unlocked · %1', custodianWord(state, trans)),
          trans.__('Lock'),
          'connvault-lock',
          () => void vault.lock().catch((error: unknown) => console.error(String(error)))
        ]
      : state.state === 'locked'
        ? [
            trans.__('Locked · %1', custodianWord(state, trans)),
            trans.__('Unlock'),
            'connvault-unlock-open',
            () => navigation.go({ name: 'unlock' })
          ]
        : [trans.__('Secrets are not protected yet'), trans.__('Protect'), 'connvault-setup-open', onSetUp];
  return (
    <footer className={`jp-connvault-vault jp-mod-${state.state}`} data-testid="connvault-vault" data-state={state.state}>
      <Icon name={state.state === 'unlocked' ? 'unlock' : state.state === 'locked' ? 'lock' : 'shield'} />
      <span className="jp-connvault-grow">{text}</span>
      {state.state !== 'absent' && (
        <button
          type="button"
          className="jp-connvault-button jp-mod-ghost"
          data-testid="connvault-vault-open"
          aria-label={trans.__('Vault: what opens it, export, import')}
          title={trans.__('Vault: what opens it, export, import')}
          onClick={() => navigation.go({ name: 'vault' })}
        >
          <Icon name="key" />
        </button>
      )}
      <button type="button" className="jp-connvault-button jp-mod-link" data-testid={testId} onClick={act}>
        {action}
      </button>
    </footer>
  );
}
