/**
 * The projects' connections: what their files say beside what was accepted, and the yes to it. Where a secret would be
 * sent is shown whole.
 */
import type { TranslationBundle } from '@jupyterlab/translation';
import { Fragment, useEffect, useState } from 'react';

import type { BlockState, FieldValue, ProviderDefinition, Workspace, WorkspaceBlock, WorkspaceEntry } from '../contracts';
import { messageOf } from '../errors';
import { foreignName, foreignText } from '../foreignText';
import { fieldTitle } from '../form/schema';
import { Banner } from '../ui/notices';
import type { Word } from '../ui/Pill';
import { Pill } from '../ui/Pill';
import type { PanelProps } from './panelProps';
import { ScreenHeader } from './ScreenHeader';

export function WorkspacesPane(props: PanelProps & { onBack: () => void }): JSX.Element {
  const { connvault, trans } = props;
  const { workspaces } = connvault;
  useEffect(() => void workspaces.refresh(), [workspaces]);

  return (
    <div className="jp-connvault-screen" data-testid="connvault-workspaces">
      <ScreenHeader title={trans.__('Connections of projects')} onBack={props.onBack} trans={trans} />
      <div className="jp-connvault-scroll">
        {workspaces.trouble && (
          <Banner tone="err" icon="warn" isAlert>
            {workspaces.trouble}
          </Banner>
        )}
        {!workspaces.items.length && !workspaces.trouble && (
          <p className="jp-connvault-empty" role="status">
            {trans.__('No open document is in a project that commits connections.')}
          </p>
        )}
        {workspaces.items.map(item => (
          <Project key={item.root} {...props} workspace={item} />
        ))}
      </div>
    </div>
  );
}

function Project({ workspace, ...props }: PanelProps & { workspace: Workspace }): JSX.Element {
  return (
    <section aria-label={foreignName(workspace.file)}>
      <h3 className="jp-connvault-group" title={foreignName(workspace.root)}>
        {foreignName(workspace.file)}
      </h3>
      {workspace.problem && (
        <Banner tone="warn" icon="warn" testId="connvault-workspace-problem">
          {foreignText(workspace.problem)}
        </Banner>
      )}
      <ul className="jp-connvault-rows">
        {workspace.entries.map(entry => (
          // Another text is another entry: no half-made decision is carried over to it.
          <Entry key={`${entry.id} ${entry.digest}`} {...props} root={workspace.root} entry={entry} />
        ))}
      </ul>
    </section>
  );
}

function Entry({
  connvault,
  navigation,
  trans,
  root,
  entry
}: PanelProps & { root: string; entry: WorkspaceEntry }): JSX.Element {
  const [trouble, setTrouble] = useState('');
  const [isBusy, setBusy] = useState(false);
  const shown = entry.block ?? entry.accepted;
  const name = shown ? foreignName(shown.name) : entry.id;
  const connection = entry.connection_id === null ? undefined : connvault.connections.get(entry.connection_id)?.connection;

  const act = async (what: () => Promise<void>): Promise<void> => {
    setBusy(true);
    try {
      await what();
      setTrouble('');
    } catch (error) {
      setTrouble(messageOf(error));
    }
    setBusy(false);
  };

  return (
    <li className="jp-connvault-entry" data-testid={`connvault-entry-${entry.id}`} data-state={entry.state}>
      <b title={name}>{name}</b> <Pill word={stateWord(entry.state, trans)} />
      <p>{stateAdvice(entry, trans)}</p>
      {entry.block && (
        <p className="jp-connvault-entryDestination" data-testid="connvault-entry-destination">
          <b>{foreignText(entry.destination || entry.block.provider_id)}</b>
        </p>
      )}
      {entry.destination_changed && (
        <Banner tone="err" icon="warn" testId="connvault-entry-moved">
          {trans.__('It leads elsewhere than you accepted. If you accept it, your secret is removed, and permissions end.')}
        </Banner>
      )}
      {entry.state !== 'accepted' && (
        <Values entry={entry} provider={shown ? connvault.connections.provider(shown.provider_id) : undefined} trans={trans} />
      )}
      {trouble && (
        <Banner tone="err" icon="warn" isAlert>
          {trouble}
        </Banner>
      )}
      {(entry.state === 'new' || entry.state === 'changed') && (
        <button
          type="button"
          className="jp-connvault-button jp-mod-primary"
          data-testid="connvault-entry-accept"
          disabled={isBusy}
          onClick={() =>
            void act(async () => {
              const { connection } = await connvault.workspaces.accept(root, entry);
              // Only then: the connection is drawn from the list.
              await connvault.connections.refresh();
              if (connection.status !== 'ready') {
                navigation.go({ name: 'detail', connectionId: connection.id, tab: 'details', asks: 'secret' });
              }
            })
          }
        >
          {entry.state === 'new' ? trans.__('Accept, and enter my secret') : trans.__('Accept the change')}
        </button>
      )}
      {connection && (
        <button
          type="button"
          className="jp-connvault-button"
          data-testid="connvault-entry-forget"
          title={trans.__('Deletes your copy with its secret and permissions. The project keeps the connection.')}
          disabled={isBusy}
          onClick={() => void act(() => connvault.workspaces.forget(connection.id, connection.revision))}
        >
          {trans.__('Forget')}
        </button>
      )}
    </li>
  );
}

interface ValuesProps {
  entry: WorkspaceEntry;
  provider: ProviderDefinition | undefined;
  trans: TranslationBundle;
}

/** Every value of the file; where it says something else than was accepted, both, and the equal ones folded away. */
function Values({ entry: { block, accepted }, provider, trans }: ValuesProps): JSX.Element {
  const now = valuesOf(block ?? accepted, provider, trans);
  const before = valuesOf(accepted ?? block, provider, trans);
  const rows = [...new Map([...before, ...now].map(([field, { title }]) => [field, title]))].map(([field, title]) => ({
    field,
    title,
    now: now.get(field)?.text ?? '',
    before: before.get(field)?.text ?? ''
  }));
  const differing = rows.filter(row => row.now !== row.before);
  const equal = (
    <dl className="jp-connvault-values">
      {rows
        .filter(row => row.now === row.before)
        .map(row => (
          <Fragment key={row.field}>
            <dt>{row.title}</dt>
            <dd>{row.now}</dd>
          </Fragment>
        ))}
    </dl>
  );
  if (!differing.length) {
    return equal;
  }
  return (
    <>
      <dl className="jp-connvault-values" data-testid="connvault-entry-differences">
        {differing.map(row => (
          <Fragment key={row.field}>
            <dt>{row.title}</dt>
            <dd>
              {row.before && <del title={trans.__('You accepted')}>{row.before}</del>}
              {row.now && <ins title={trans.__('The project says')}>{row.now}</ins>}
            </dd>
          </Fragment>
        ))}
      </dl>
      <details>
        <summary>
          {trans._n('%1 value as you accepted it', '%1 values as you accepted them', rows.length - differing.length)}
        </summary>
        {equal}
      </details>
    </>
  );
}

/** Returns them by field (two may have the same title), as text, without the empty ones. */
function valuesOf(
  block: WorkspaceBlock | null,
  provider: ProviderDefinition | undefined,
  trans: TranslationBundle
): Map<string, { title: string; text: string }> {
  if (!block) {
    return new Map();
  }
  const all: [string, string, FieldValue][] = [
    // No field can have a space in its name.
    ['its name', trans.__('Name used in code'), block.name],
    ['its title', trans.__('Title'), block.display_name],
    ['its kind', trans.__('Kind'), provider?.name ?? block.provider_id],
    ...Object.entries(block.fields).map(([field, value]): [string, string, FieldValue] => [field, fieldTitle(provider, field), value])
  ];
  return new Map(
    all
      .map(([field, title, value]): [string, { title: string; text: string }] => [
        field,
        { title: foreignName(title), text: spelt(value, trans) }
      ])
      .filter(([, { text }]) => text)
  );
}

function spelt(value: FieldValue, trans: TranslationBundle): string {
  if (typeof value === 'boolean') {
    return value ? trans.__('yes') : trans.__('no');
  }
  return value === null ? '' : foreignText(String(value));
}

function stateWord(state: BlockState, trans: TranslationBundle): Word {
  switch (state) {
    case 'new':
      return { text: trans.__('Needs your own secret'), tone: 'warn' };
    case 'accepted':
      return { text: trans.__('Accepted'), tone: 'ok' };
    case 'changed':
      return { text: trans.__('Changed in the project'), tone: 'warn' };
    case 'gone':
      return { text: trans.__('Gone from the project'), tone: 'mute' };
    case 'name_taken':
      return { text: trans.__('Name is taken'), tone: 'err' };
    case 'unknown_kind':
      return { text: trans.__('Kind is not installed'), tone: 'err' };
  }
}

function stateAdvice({ state, secrets_missing }: WorkspaceEntry, trans: TranslationBundle): string {
  switch (state) {
    case 'new':
      return secrets_missing.length
        ? trans.__('Check where it leads. Notebooks can ask for it once you have accepted it and entered your own secret.')
        : trans.__('Check where it leads. Notebooks can ask for it once you have accepted it.');
    case 'accepted':
      return trans.__('The file says what you accepted.');
    case 'changed':
      return trans.__('It is not used until you accept what the file says now.');
    case 'gone':
      return trans.__('It is not used. Restore it in the file, or forget it.');
    case 'name_taken':
      return trans.__('Another connection that you have has this name. Rename or delete that one first.');
    case 'unknown_kind':
      return trans.__('Install the package that provides this kind of connection.');
  }
}
