/**
 * One connection with its tabs and actions.
 */
import type { TranslationBundle } from '@jupyterlab/translation';
import type { KeyboardEvent } from 'react';
import { useEffect, useId, useState } from 'react';

import type { AuditEvent, ConnectionView, ProviderDefinition, VaultState } from '../contracts';
import { messageOf } from '../errors';
import type { DetailTab } from '../models/navigation';
import type { IActivity } from '../tokens';
import { Banner } from '../ui/notices';
import { Pill } from '../ui/Pill';
import { lacksSecret, statusAdvice, statusWord } from '../words/status';
import { ActivityExport } from './ActivityExport';
import { ActivityTab, RecordLine } from './ActivityTab';
import { DetailsTab } from './DetailsTab';
import { GrantsTab } from './GrantsTab';
import { useChanged, useLoaded } from './hooks';
import { ScreenHeader } from './ScreenHeader';

const TABS: readonly DetailTab[] = ['details', 'grants', 'activity'];

interface ConnectionDetailProps {
  view: ConnectionView;
  provider: ProviderDefinition | undefined;
  /** Whether the server lets code ask for plain text at all. */
  revealAllowed: boolean;
  vault: VaultState['state'] | undefined;
  /** Whether a secret leaves this page sealed. */
  seals: boolean;
  activity: IActivity;
  /** The file of the project that it is of. */
  project?: string;
  tab: DetailTab;
  /** Changes whenever the input for the secret should open; `null` while it should not. */
  asked: object | null;
  trans: TranslationBundle;
  onTab: (tab: DetailTab) => void;
  onBack: () => void;
  onEdit: () => void;
  onReview: () => void;
  onInsertCode: () => void;
  onTest: () => Promise<unknown>;
  /** Resolves to whether the connection is ready then; `seen` is its revision when the input for the secret opened. */
  onReplace: (field: string, value: string, seen: number) => Promise<boolean>;
  onDelete: () => Promise<void>;
}

export function ConnectionDetail(props: ConnectionDetailProps): JSX.Element {
  const { view, provider, activity, tab, trans } = props;
  const { connection } = view;
  const { id } = connection;
  const version = useChanged(activity.changed);
  const now = Date.now();
  const grants = useLoaded(() => activity.grants(id), [activity, id, version]);
  const page = useLoaded(() => activity.events(id), [activity, id, version]);
  const uses = useLoaded(() => (tab === 'grants' ? activity.uses(id) : Promise.resolve([])), [activity, id, version, tab]);
  const record = useLoaded(
    () => (tab === 'details' ? Promise.resolve(null) : activity.verify()),
    [activity, version, tab === 'details']
  );
  const [older, setOlder] = useState<{ events: readonly AuditEvent[]; next: number | null } | null>(null);
  const [failed, setFailed] = useState('');
  const [isExporting, setExporting] = useState(false);
  const prefix = useId();

  useEffect(() => {
    setOlder(null);
    setFailed('');
  }, [id]);
  useEffect(() => setExporting(false), [id, tab]);

  const attempt = async (action: () => Promise<unknown>): Promise<void> => {
    setFailed('');
    try {
      await action();
    } catch (error) {
      setFailed(messageOf(error));
    }
  };

  const newest = page.value?.events ?? [];
  const next = older ? older.next : (page.value?.next_before ?? null);
  const rows = older ? [...newest, ...older.events.filter(row => !newest.some(item => item.sequence === row.sequence))] : newest;
  const counting = (grants.value ?? []).filter(item => item.counts).length;
  const titles: { [key in DetailTab]: string } = {
    details: trans.__('Details'),
    grants: counting ? trans.__('Who may use it · %1', counting) : trans.__('Who may use it'),
    activity: trans.__('Activity')
  };

  return (
    <section className="jp-connvault-screen" aria-label={connection.name} data-testid="connvault-detail">
      <ScreenHeader title={connection.name} onBack={props.onBack} trans={trans}>
        {!statusAdvice(view, trans) && <Pill word={statusWord(view, props.vault, trans)} />}
      </ScreenHeader>
      <div className="jp-connvault-tabs" role="tablist" aria-label={connection.name} onKeyDown={event => turn(event, tab, props.onTab)}>
        {TABS.map(item => (
          <button
            key={item}
            type="button"
            role="tab"
            id={`${prefix}-${item}`}
            aria-selected={item === tab}
            aria-controls={`${prefix}-panel`}
            tabIndex={item === tab ? 0 : -1}
            data-testid={`connvault-tab-${item}`}
            onClick={() => props.onTab(item)}
          >
            {titles[item]}
          </button>
        ))}
      </div>
      {failed && (
        <Banner tone="err" icon="warn">
          {failed}
        </Banner>
      )}
      <div className="jp-connvault-tabPanel" role="tabpanel" id={`${prefix}-panel`} aria-labelledby={`${prefix}-${tab}`}>
        {tab === 'details' && (
          <DetailsTab
            view={view}
            provider={provider}
            revealAllowed={props.revealAllowed}
            project={props.project}
            recent={newest}
            asked={props.asked}
            now={now}
            seals={props.seals}
            trans={trans}
            onReplace={props.onReplace}
            onTest={() => attempt(props.onTest)}
            onShowActivity={() => props.onTab('activity')}
            onReview={props.onReview}
          />
        )}
        {tab === 'grants' && (
          <GrantsTab
            grants={grants.value ?? []}
            delivery={view.delivery}
            uses={uses.value ?? []}
            trouble={grants.trouble}
            now={now}
            trans={trans}
            onRevoke={grantId => activity.revoke(grantId)}
          />
        )}
        {tab === 'activity' && (
          <ActivityTab
            events={rows}
            now={now}
            trouble={page.trouble}
            hasMore={next !== null}
            trans={trans}
            onMore={() =>
              void attempt(async () => {
                const more = await activity.events(id, next ?? undefined);
                setOlder(before => ({ events: [...(before?.events ?? []), ...more.events], next: more.next_before }));
              })
            }
          />
        )}
      </div>
      {tab === 'details' ? (
        <DetailFoot {...props} attempt={attempt} />
      ) : isExporting ? (
        <ActivityExport
          name={connection.name}
          trans={trans}
          onExport={(format, isFiltered) => activity.export(format, isFiltered ? id : null)}
          attempt={attempt}
          onDone={() => setExporting(false)}
        />
      ) : (
        <div className="jp-connvault-foot">
          <RecordLine verification={record.value} trans={trans} />
          {tab === 'activity' && (
            <button
              type="button"
              className="jp-connvault-button"
              data-testid="connvault-export-open"
              onClick={() => setExporting(true)}
            >
              {trans.__('Export …')}
            </button>
          )}
          {tab === 'grants' && (grants.value ?? []).length > 1 && (
            <button
              type="button"
              className="jp-connvault-button"
              data-testid="connvault-revoke-all"
              onClick={() =>
                void attempt(() =>
                  Promise.all(
                    (grants.value ?? [])
                      .filter(item => item.grant.decision !== 'deny_always')
                      .map(item => activity.revoke(item.grant.id))
                  )
                )
              }
            >
              {trans.__('Revoke all')}
            </button>
          )}
        </div>
      )}
    </section>
  );
}

function DetailFoot(props: ConnectionDetailProps & { attempt: (action: () => Promise<unknown>) => Promise<void> }): JSX.Element {
  const { view, provider, trans, attempt } = props;
  const [isDeleting, setDeleting] = useState(false);
  const isReady = view.connection.status === 'ready' && view.last_test?.ok !== false;
  // A connection that failed its test or is incomplete should be edited, not used; a missing secret is entered above.
  const asksToEdit = !isReady && !lacksSecret(view.connection);

  if (isDeleting) {
    return (
      <div className="jp-connvault-foot jp-mod-ask" role="group" aria-label={trans.__('Delete?')}>
        <span className="jp-connvault-grow">{trans.__('Delete it? Code that asks for it will fail.')}</span>
        <button type="button" className="jp-connvault-button" autoFocus onClick={() => setDeleting(false)}>
          {trans.__('Keep')}
        </button>
        <button
          type="button"
          className="jp-connvault-button jp-mod-danger"
          data-testid="connvault-delete-confirm"
          onClick={() => void attempt(props.onDelete)}
        >
          {trans.__('Delete')}
        </button>
      </div>
    );
  }
  return (
    <div className="jp-connvault-foot">
      <button
        type="button"
        className={`jp-connvault-button ${isReady ? 'jp-mod-primary' : ''}`}
        data-testid="connvault-insert-code"
        title={trans.__('Add a cell that uses this connection to the active notebook')}
        onClick={props.onInsertCode}
      >
        {trans.__('Insert code')}
      </button>
      {provider && (
        <button
          type="button"
          className={`jp-connvault-button ${asksToEdit ? 'jp-mod-primary' : ''}`}
          data-testid="connvault-edit"
          onClick={props.onEdit}
        >
          {trans.__('Edit')}
        </button>
      )}
      <span className="jp-connvault-grow" />
      <button
        type="button"
        className="jp-connvault-button jp-mod-link jp-mod-danger"
        data-testid="connvault-delete"
        onClick={() => setDeleting(true)}
      >
        {trans.__('Delete')}
      </button>
    </div>
  );
}

function turn(event: KeyboardEvent<HTMLElement>, tab: DetailTab, onTab: (tab: DetailTab) => void): void {
  const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
  if (!step) {
    return;
  }
  event.preventDefault();
  const next = (TABS.indexOf(tab) + step + TABS.length) % TABS.length;
  onTab(TABS[next]);
  event.currentTarget.querySelectorAll<HTMLElement>('[role="tab"]')[next]?.focus();
}
