/**
 * The side beside the list: the screen that the panel is at.
 */
import { useRef } from 'react';

import type { Pasted } from '../form/paste';
import { Icon } from '../icons';
import type { Place } from '../models/navigation';
import { Detail } from './Detail';
import { FormSide } from './FormSide';
import type { PanelProps } from './panelProps';
import { Picker } from './Picker';
import { Gone, ScreenHeader, Waiting } from './pieces';
import { ProposalSide } from './ProposalSide';
import { UnlockForm } from './VaultScreens';

export function Side(props: PanelProps & { place: Place }): JSX.Element {
  const { connvault, navigation, trans, place } = props;
  const { connections, vault } = connvault;
  // A pasted text may hold a password: it waits here for the form, outside React state.
  const pasted = useRef<Pasted | null>(null);
  const toList = (): void => navigation.go({ screen: 'list' });

  switch (place.screen) {
    case 'picker':
      return (
        <Picker
          providers={connections.providers}
          skipped={connections.skipped}
          proposal={place.proposal}
          trans={trans}
          onBack={toList}
          onPick={providerId => navigation.go({ screen: 'create', providerId, proposal: place.proposal })}
          onPaste={found => {
            pasted.current = found;
            navigation.go({ screen: 'create', providerId: found.providerId, proposal: place.proposal });
          }}
        />
      );
    case 'create':
    case 'edit':
      return (
        <FormSide
          key={place.screen === 'edit' ? place.connectionId : `${place.providerId} ${place.proposal?.id ?? ''}`}
          {...props}
          place={place}
          takePasted={() => {
            const found = pasted.current;
            pasted.current = null;
            return found;
          }}
        />
      );
    case 'proposal':
      return <ProposalSide key={place.id} {...props} place={place} />;
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
    case 'detail': {
      const view = connections.get(place.connectionId);
      if (!view) {
        return connections.isReady ? <Gone {...props} onBack={toList} /> : <Waiting trans={trans} />;
      }
      const { id, revision = 1 } = view.connection;
      return (
        <Detail
          key={id}
          view={view}
          provider={connections.provider(view.connection.provider_id)}
          revealAllowed={connections.revealAllowed}
          vault={vault.state?.state}
          seals={vault.seals}
          activity={connvault.activity}
          tab={place.tab}
          asked={place.asks ? place : null}
          trans={trans}
          onTab={tab => navigation.go({ screen: 'detail', connectionId: place.connectionId, tab })}
          onBack={toList}
          onEdit={() => navigation.go({ screen: 'edit', connectionId: id })}
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
