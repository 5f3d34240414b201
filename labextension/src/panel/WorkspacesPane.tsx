/**
 * The projects' connections: what their files say beside what was accepted, and the yes to it. Where a secret would be
 * sent is shown whole.
 */
import type { TranslationBundle } from '@jupyterlab/translation';
import { useEffect, useState } from 'react';

import type { BlockState, FieldValue, Workspace, WorkspaceBlock, WorkspaceEntry } from '../contracts';
import { messageOf } from '../errors';
import { foreignName, foreignText } from '../foreignText';
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
      {entry.state !== 'accepted' && <Differences entry={entry} trans={trans} />}
      {entry.destination_changed && (
        <Banner tone="err" icon="warn" testId="connvault-entry-moved">
          {trans.__('It leads elsewhere than you accepted. If you accept it, your secret is removed, and permissions end.')}
        </Banner>
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

/** Every value of the file, with what was accepted where it differs. */
function Differences({ entry, trans }: { entry: WorkspaceEntry; trans: TranslationBundle }): JSX.Element {
  const now = values(entry.block);
  const before = values(entry.accepted);
  const all = [...new Set([...Object.keys(now), ...Object.keys(before)])];
  const names = all.filter(name => spelt(now[name]) || spelt(before[name]));
  return (
    <table className="jp-connvault-differences">
      <thead>
        <tr>
          <th scope="col">{trans.__('Field')}</th>
          {entry.accepted && <th scope="col">{trans.__('You accepted')}</th>}
          {entry.block && <th scope="col">{trans.__('The project says')}</th>}
        </tr>
      </thead>
      <tbody>
        {names.map(name => (
          <tr key={name} data-differs={entry.accepted && entry.block && now[name] !== before[name] ? true : undefined}>
            <th scope="row">{foreignName(name)}</th>
            {entry.accepted && <td>{spelt(before[name])}</td>}
            {entry.block && <td>{spelt(now[name])}</td>}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function values(block: WorkspaceBlock | null): { [name: string]: FieldValue | undefined } {
  return block
    ? { name: block.name, title: block.display_name || undefined, kind: block.provider_id, ...block.fields }
    : {};
}

function spelt(value: FieldValue | undefined): string {
  return value === undefined || value === null ? '' : foreignText(String(value));
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
