/**
 * What code suggests for a new connection: fetched from the server by its id, then the form or the picker with it.
 */
import { useEffect, useState } from 'react';

import type { Place } from '../models/navigation';
import { ProblemError } from '../restapi';
import type { PanelProps } from './panelProps';
import { Banner, ScreenHeader, Waiting } from './pieces';

type ProposalPlace = Extract<Place, { screen: 'proposal' }>;

export function ProposalSide(props: PanelProps & { place: ProposalPlace }): JSX.Element {
  const { connvault, navigation, trans, place } = props;
  const [trouble, setTrouble] = useState('');
  useEffect(() => {
    let isLate = false;
    connvault.proposals.get(place.id).then(
      proposal => {
        if (!isLate) {
          const { provider_id: providerId } = proposal;
          navigation.go(providerId ? { screen: 'create', providerId, proposal } : { screen: 'picker', proposal });
        }
      },
      (error: unknown) => {
        if (!isLate) {
          setTrouble(
            error instanceof ProblemError && error.code !== 'proposal_not_found'
              ? error.detail
              : trans.__('This suggestion has expired. Run the cell again.')
          );
        }
      }
    );
    return () => {
      isLate = true;
    };
  }, [connvault, navigation, trans, place.id]);

  if (!trouble) {
    return <Waiting trans={trans} />;
  }
  const { providerId } = place;
  return (
    <div className="jp-connvault-screen">
      <ScreenHeader
        title={trans.__('New connection')}
        onBack={() => navigation.go({ screen: 'list' })}
        trans={trans}
      />
      <div className="jp-connvault-scroll">
        <Banner
          tone="warn"
          icon="clock"
          testId="connvault-expired"
          action={
            <button
              type="button"
              className="jp-connvault-button"
              data-testid="connvault-empty-form"
              onClick={() => navigation.go(providerId ? { screen: 'create', providerId } : { screen: 'picker' })}
            >
              {trans.__('Empty form')}
            </button>
          }
        >
          {trouble}
        </Banner>
      </div>
    </div>
  );
}
