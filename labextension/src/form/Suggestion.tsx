/**
 * What a form says about values that code suggested: who suggested them, and where a secret would go with them.
 */
import type { TranslationBundle } from '@jupyterlab/translation';

import type { Proposal, Requester } from '../contracts';
import { foreignName } from '../foreignText';
import { Icon } from '../ui/icons';
import type { Target } from './destination';

/** Returns who made the suggestion, with the whole path: it is all that distinguishes two files of the same name. */
export function suggestedBy({ kind, label, path }: Requester, trans: TranslationBundle): string {
  const name = foreignName(path || label);
  switch (kind) {
    case 'notebook':
      return trans.__('the notebook %1', name);
    case 'console':
      return trans.__('the console %1', name);
    case 'script':
      return trans.__('the script %1', name);
    default:
      return trans.__('the process %1', name);
  }
}

interface SuggestionBannerProps {
  proposal: Proposal;
  /** Where a secret would go with the form's current values; empty if they name no destination. */
  targets: readonly Target[];
  isConfirmed: boolean;
  trans: TranslationBundle;
  onConfirm: () => void;
}

export function SuggestionBanner(props: SuggestionBannerProps): JSX.Element {
  const { proposal, targets, isConfirmed, trans } = props;
  const asks = targets.length > 0 && !isConfirmed;
  return (
    <div
      className={`jp-connvault-banner jp-connvault-suggestion ${asks ? 'jp-mod-warn' : 'jp-mod-mute'}`}
      role="status"
      data-testid="connvault-suggestion"
    >
      <Icon name="code" />
      <span className="jp-connvault-grow">
        <span>
          {trans.__('Suggested by')}{' '}
          <b>
            <bdi>{suggestedBy(proposal.requester, trans)}</bdi>
          </b>
          {trans.__(', not by you.')}
        </span>
        {asks && (
          <>
            <span>
              {trans.__('Your secret would be used to log in at')} <Places targets={targets} />
            </span>
            <button
              type="button"
              className="jp-connvault-button"
              data-testid="connvault-confirm-destination"
              onClick={props.onConfirm}
            >
              {trans.__('Yes, log in there')}
            </button>
          </>
        )}
      </span>
    </div>
  );
}

/** The line above the buttons, whoever filled in the form. */
export function GoesTo({ id, targets, trans }: { id: string; targets: readonly Target[]; trans: TranslationBundle }): JSX.Element | null {
  if (!targets.length) {
    return null;
  }
  return (
    <p id={id} className="jp-connvault-goesTo" data-testid="connvault-goes-to">
      <Icon name="arrow" />
      <span>
        {trans.__('Your secret will be used to log in at')} <Places targets={targets} />
      </span>
    </p>
  );
}

function Places({ targets }: { targets: readonly Target[] }): JSX.Element {
  return (
    <>
      {targets.map(({ text }, at) => (
        <span key={text}>
          {at > 0 && ', '}
          <b className="jp-connvault-place">
            <bdi>{text}</bdi>
          </b>
        </span>
      ))}
    </>
  );
}
