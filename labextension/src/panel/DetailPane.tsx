/**
 * The pane beside the list, which shows the panel's current screen.
 */
import { useRef } from 'react';

import type { Pasted } from '../form/paste';
import type { Screen } from '../models/navigation';
import { Icon } from '../ui/icons';
import { Waiting } from '../ui/notices';
import { fileOf } from '../models/workspaces';
import { ConnectionDetail } from './ConnectionDetail';
import { ExportScreen } from './ExportScreen';
import { FormPane } from './FormPane';
import { ImportScreen } from './ImportScreen';
import type { PanelProps } from './panelProps';
import { Picker } from './Picker';
import { ProposalPane } from './ProposalPane';
import { NotFound, ScreenHeader } from './ScreenHeader';
import { VaultPane } from './VaultPane';
import { UnlockForm } from './VaultScreens';
import { WorkspacesPane } from './WorkspacesPane';

export function DetailPane(props: PanelProps & { screen: Screen }): JSX.Element {
  const { connvault, navigation, trans, screen } = props;
  const { connections, vault } = connvault;
  // A pasted text may hold a password: it waits here for the form, outside React state.
  const pasted = useRef<Pasted | null>(null);
  const toList = (): void => navigation.go({ name: 'list' });

  switch (screen.name) {
    case 'picker':
      return (
        <Picker
          providers={connections.providers}
          skipped={connections.skipped}
          proposal={screen.proposal}
          trans={trans}
          onBack={toList}
          onPick={providerId => navigation.go({ name: 'create', providerId, proposal: screen.proposal })}
          onPaste={found => {
            pasted.current = found;
            navigation.go({ name: 'create', providerId: found.providerId, proposal: screen.proposal });
          }}
        />
      );
    case 'create':
    case 'edit':
      return (
        <FormPane
          key={screen.name === 'edit' ? screen.connectionId : `${screen.providerId} ${screen.proposal?.id ?? ''}`}
          {...props}
          screen={screen}
          takePasted={() => {
            const found = pasted.current;
            pasted.current = null;
            return found;
          }}
        />
      );
    case 'proposal':
      return <ProposalPane key={screen.id} {...props} screen={screen} />;
    case 'workspaces':
      return <WorkspacesPane {...props} onBack={toList} />;
    case 'unlock':
      return (
        <div className="jp-connvault-screen">
          <ScreenHeader title={trans.__('Unlock')} onBack={toList} trans={trans} />
          <div className="jp-connvault-scroll">
            {vault.state && (
              <UnlockForm
                vault={vault.state}
                seals={vault.seals}
                trans={trans}
                onUnlock={async passphrase => {
                  await vault.unlock(passphrase);
                  toList();
                }}
              />
            )}
          </div>
        </div>
      );
    case 'vault':
      return vault.state ? (
        <VaultPane
          vault={vault}
          state={vault.state}
          trans={trans}
          onBack={toList}
          onExport={() => navigation.go({ name: 'export' })}
          onImport={() => navigation.go({ name: 'import' })}
        />
      ) : (
        <Waiting trans={trans} />
      );
    case 'export':
      return <ExportScreen connections={connections} vault={vault} trans={trans} onBack={() => navigation.go({ name: 'vault' })} />;
    case 'import':
      return <ImportScreen connections={connections} vault={vault} trans={trans} onBack={() => navigation.go({ name: 'vault' })} />;
    case 'detail': {
      const view = connections.get(screen.connectionId);
      if (!view) {
        return connections.isReady ? <NotFound {...props} onBack={toList} /> : <Waiting trans={trans} />;
      }
      const { id, revision = 1 } = view.connection;
      return (
        <ConnectionDetail
          key={id}
          view={view}
          provider={connections.provider(view.connection.provider_id)}
          revealAllowed={connections.revealAllowed}
          vault={vault.state?.state}
          seals={vault.seals}
          activity={connvault.activity}
          project={view.connection.workspace ? fileOf(connvault.workspaces.items, view.connection.workspace) : undefined}
          tab={screen.tab}
          asked={screen.asks ? screen : null}
          trans={trans}
          onTab={tab => navigation.go({ name: 'detail', connectionId: screen.connectionId, tab })}
          onBack={toList}
          onEdit={() => navigation.go({ name: 'edit', connectionId: id })}
          onReview={() => navigation.go({ name: 'workspaces' })}
          onInsertCode={() => props.onInsertCode(id)}
          onTest={() => connections.test(id)}
          onReplace={async (field, value, seen) =>
            (await connections.setSecret(id, field, value, seen)).connection.status === 'ready'
          }
          onDelete={async () => {
            await connections.remove(id, revision);
            toList();
          }}
        />
      );
    }
    default:
      return (
        <div className="jp-connvault-nothing">
          <Icon name="plug" className="jp-mod-big" />
          <p>
            {props.isFormOnly
              ? trans.__('The form is closed.')
              : trans.__('Choose a connection on the left, or create a new one.')}
          </p>
        </div>
      );
  }
}
