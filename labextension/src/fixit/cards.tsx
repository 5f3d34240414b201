/**
 * The card under a failed cell (what happened, what to do, a button that does it), and the card of a handle.
 */
import type { TranslationBundle } from '@jupyterlab/translation';

import type { ProviderDefinition } from '../contracts';
import type { IconName } from '../ui/icons';
import { Icon, ProviderIcon } from '../ui/icons';
import { suppressShortcuts } from '../ui/outputKeys';
import { Pill } from '../ui/Pill';
import { decisionWord } from '../words/decisions';
import { howWord, modeWords, deliveryAdvice } from '../words/modes';
import { exactly } from '../words/times';
import type { FixIt, FixItAction, HandleInfo } from './payload';

// Nothing is broken; something just has to be done first.
const CALM: { [code: string]: IconName } = {
  vault_locked: 'lock',
  vault_not_set_up: 'shield',
  consent_timeout: 'clock',
  secret_missing: 'key'
};

interface FixItCardProps {
  fixIt: FixIt;
  trans: TranslationBundle;
  onAct: (action: FixItAction) => void;
}

export function FixItCard({ fixIt, onAct }: FixItCardProps): JSX.Element {
  const calm = CALM[fixIt.code];
  return (
    <div
      className={`jp-connvault-card jp-connvault-fixit ${calm ? 'jp-mod-warn' : 'jp-mod-err'}`}
      data-testid="connvault-fixit"
      data-code={fixIt.code}
      role="group"
      aria-label={fixIt.title}
      onFocusCapture={suppressShortcuts}
    >
      <Icon name={calm ?? 'warn'} />
      <div className="jp-connvault-grow">
        <b>{fixIt.title}</b>
        <small>
          {fixIt.message} {fixIt.error && <code>{fixIt.error}</code>}
        </small>
      </div>
      {fixIt.actions.length > 0 && (
        <div className="jp-connvault-acts">
          {fixIt.actions.map((action, index) => (
            <button
              key={action.label}
              type="button"
              className="jp-connvault-button"
              data-testid={index ? 'connvault-fixit-other' : 'connvault-fixit-action'}
              onClick={() => onAct(action)}
            >
              {action.label}
            </button>
          ))}
        </div>
      )}
    </div>
  );
}

interface HandleCardProps {
  handle: HandleInfo;
  provider: ProviderDefinition | undefined;
  trans: TranslationBundle;
}

// The openers that are properties rather than methods; see kernel/families.py.
const ATTRIBUTES = new Set([
  'agent_socket', 'base_url', 'bucket', 'dsn', 'last_refusal', 'storage_options', 'token', 'url'
]);

const DECISIONS = ['once', 'session', 'for', 'always'] as const;

export function HandleCard({ handle, provider, trans }: HandleCardProps): JSX.Element {
  return (
    <div className="jp-connvault-card jp-connvault-handle" data-testid="connvault-handle">
      <ProviderIcon provider={provider} />
      <div className="jp-connvault-grow">
        <span>
          <b>
            <bdi>{handle.name}</bdi>
          </b>{' '}
          <span className="jp-connvault-quiet">
            {handle.kind}
            {handle.destination && (
              <>
                {' · '}
                <bdi>{handle.destination}</bdi>
              </>
            )}
          </span>
        </span>
        <small>
          {handle.openers.map(name => (
            <code key={name}>{ATTRIBUTES.has(name) ? `.${name}` : `.${name}()`}</code>
          ))}
        </small>
      </div>
      <div className="jp-connvault-pills">
        {handle.ended ? (
          <Pill word={{ text: trans.__('ended'), tone: 'mute' }} />
        ) : (
          <HowAndHowLong handle={handle} trans={trans} />
        )}
      </div>
    </div>
  );
}

function HowAndHowLong({ handle, trans }: Pick<HandleCardProps, 'handle' | 'trans'>): JSX.Element {
  const words = modeWords(handle.mode, trans);
  const decision = DECISIONS.find(item => item === handle.decision);
  return (
    <>
      <Pill
        word={{ text: howWord(handle.mode, handle.delivery, trans), tone: words.tone }}
        icon={words.icon}
        title={[words.sentence, deliveryAdvice(handle.mode, handle.delivery, trans)].filter(Boolean).join(' ')}
      />
      {decision && (
        <Pill
          word={{ text: decisionWord(decision, trans), tone: 'mute' }}
          title={handle.expiresAt ? trans.__('until %1', exactly(handle.expiresAt)) : undefined}
        />
      )}
    </>
  );
}
