/**
 * The form of a new or an existing connection in the panel: where its values come from, and what happens on saving.
 */
import { lazy, Suspense, useState } from 'react';

import type { ConnectionView } from '../contracts';
import type { ConnectionDraft, ConnectionFormProps } from '../form/ConnectionForm';
import type { Pasted } from '../form/paste';
import type { Screen } from '../models/navigation';
import { fileOf } from '../models/workspaces';
import type { ProjectFolder } from '../tokens';
import { Banner, NotSealed, Waiting } from '../ui/notices';
import { isForeign } from '../words/status';
import type { PanelProps } from './panelProps';
import { NotFound, ScreenHeader } from './ScreenHeader';
import { UnlockForm } from './VaultScreens';

// The form brings in the validator, the heaviest part.
const ConnectionForm = lazy(async () => ({ default: (await import('../form/ConnectionForm')).ConnectionForm }));

type FormScreen = Extract<Screen, { name: 'create' | 'edit' }>;

export function FormPane(props: PanelProps & { screen: FormScreen; takePasted: () => Pasted | null }): JSX.Element {
  const { connvault, navigation, trans, screen } = props;
  const { connections, workspaces } = connvault;
  const existing = screen.name === 'edit' ? connections.get(screen.connectionId) : undefined;
  const provider = connections.provider(screen.name === 'edit' ? (existing?.connection.provider_id ?? '') : screen.providerId);
  // The form keeps editing what it was opened with; a change by somebody else is detected by its revision.
  const [opened] = useState(existing);
  const [folders] = useState(workspaces.folders);
  const back = (): void =>
    navigation.go(
      screen.name === 'edit' ? { name: 'detail', connectionId: screen.connectionId, tab: 'details' } : { name: 'list' }
    );

  if (!provider || (screen.name === 'edit' && !(opened ?? existing))) {
    return connections.isReady ? <NotFound {...props} onBack={back} /> : <Waiting trans={trans} />;
  }
  const before = opened ?? existing;
  const save: ConnectionFormProps['onSave'] = async (draft: ConnectionDraft, andTest) => {
    const sent = before
      ? connections.update(before.connection.id, before.connection.revision ?? 1, draft)
      : connections.create({ provider_id: provider.id, ...draft });
    const saved = await sent;
    const { id, status } = saved.connection;
    navigation.go({ name: 'detail', connectionId: id, tab: 'details' });
    if (andTest && status === 'ready') {
      // The outcome is shown with the connection, which stays saved in any case.
      connections.test(id).catch((error: unknown) => console.warn(String(error)));
    }
  };

  return (
    <section className="jp-connvault-screen" aria-label={trans.__('Connection form')}>
      <ScreenHeader
        title={
          before
            ? trans.__('Edit %1', before.connection.name)
            : provider.category === 'other'
              ? trans.__('New %1', provider.name)
              : trans.__('New %1 connection', provider.name)
        }
        onBack={back}
        trans={trans}
      />
      <Suspense fallback={<Waiting trans={trans} />}>
        <ConnectionForm
          provider={provider}
          // A secret that was stored for something else is not kept on saving.
          existing={before && isForeign(before.connection) ? { ...before, secrets: {} } : before}
          proposal={screen.name === 'create' ? screen.proposal : undefined}
          revealAllowed={connections.revealAllowed}
          takePasted={props.takePasted}
          folders={folders}
          takenNames={folder => namesBeside(connections.items, before, folder, folders)}
          project={before?.connection.workspace ? fileOf(workspaces.items, before.connection.workspace) : undefined}
          notice={<VaultNotice {...props} />}
          trans={trans}
          onSave={save}
          onCancel={back}
        />
      </Suspense>
    </section>
  );
}

/** Returns the names of which a notebook would see two: its own project's and the person's own, which all of them see. */
function namesBeside(
  items: readonly ConnectionView[],
  before: ConnectionView | undefined,
  folder: string | null,
  folders: readonly ProjectFolder[]
): string[] {
  const isOwn = before ? !before.connection.workspace : folder === null;
  const root = before ? before.connection.workspace?.root : folders.find(({ path }) => path === folder)?.root;
  return items
    .map(item => item.connection)
    .filter(({ id, workspace }) => id !== before?.connection.id && (isOwn || !workspace || workspace.root === root))
    .map(connection => connection.name);
}

/** Says, before anything is typed, if a secret can't be saved because the vault is not open, or would not be sealed. */
function VaultNotice({ connvault, navigation, trans }: PanelProps): JSX.Element | null {
  const { vault } = connvault;
  const state = vault.state;
  if (state?.state === 'locked') {
    return <UnlockForm vault={state} seals={vault.seals} trans={trans} onUnlock={passphrase => vault.unlock(passphrase)} />;
  }
  if (state?.state === 'absent') {
    return (
      <Banner
        tone="warn"
        icon="shield"
        action={
          <button
            type="button"
            className="jp-connvault-button"
            data-testid="connvault-setup-open"
            onClick={() => navigation.go({ name: 'setup' })}
          >
            {trans.__('Protect')}
          </button>
        }
      >
        {trans.__('Secrets are not protected yet, so only a draft without a password can be saved.')}
      </Banner>
    );
  }
  return <NotSealed seals={vault.seals} trans={trans} />;
}
