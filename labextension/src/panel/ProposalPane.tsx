/**
 * What code suggests for a new connection: fetched from the server by its id, then shown in the form or the picker.
 */
import { useEffect, useState } from 'react';

import { ProblemError } from '../errors';
import type { Screen } from '../models/navigation';
import { Banner, Waiting } from '../ui/notices';
import type { PanelProps } from './panelProps';
import { ScreenHeader } from './ScreenHeader';

type ProposalScreen = Extract<Screen, { name: 'proposal' }>;

export function ProposalPane(props: PanelProps & { screen: ProposalScreen }): JSX.Element {
  const { connvault, navigation, trans, screen } = props;
  const [trouble, setTrouble] = useState('');
  useEffect(() => {
    let isLate = false;
    connvault.proposals.get(screen.id).then(
      proposal => {
        if (!isLate) {
          const { provider_id: providerId } = proposal;
          navigation.go(providerId ? { name: 'create', providerId, proposal } : { name: 'picker', proposal });
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
  }, [connvault, navigation, trans, screen.id]);

  if (!trouble) {
    return <Waiting trans={trans} />;
  }
  const { providerId } = screen;
  return (
    <div className="jp-connvault-screen">
      <ScreenHeader
        title={trans.__('New connection')}
        onBack={() => navigation.go({ name: 'list' })}
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
              onClick={() => navigation.go(providerId ? { name: 'create', providerId } : { name: 'picker' })}
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
