/**
 * Shows the questions that are drawn in this tab, one at a time, with the answers below.
 */
import type { TranslationBundle } from '@jupyterlab/translation';
import type { MouseEvent } from 'react';

import type { DecisionKind, Duration, ProviderDefinition, Question } from '../contracts';
import { foreignText } from '../foreignText';
import type { IOpenQuestion } from '../tokens';
import { Icon } from '../ui/icons';
import { Banner } from '../ui/notices';
import { modeWords } from '../words/modes';
import { Countdown } from './Countdown';
import { QuestionCard } from './QuestionCard';

interface ConsentViewProps {
  items: readonly IOpenQuestion[];
  index: number;
  duration: Duration | null;
  remainingS: number;
  /** Whether a click counts yet. */
  isSettled: boolean;
  isBusy: boolean;
  notice: string;
  provider: ProviderDefinition | undefined;
  idPrefix: string;
  trans: TranslationBundle;
  onDuration: (duration: Duration) => void;
  onMove: (step: -1 | 1) => void;
  onDecide: (decision: DecisionKind) => void;
}

export function ConsentView(props: ConsentViewProps): JSX.Element | null {
  const { items, index, duration, remainingS, isSettled, isBusy, notice, idPrefix, trans } = props;
  const question = items[index]?.question;
  if (!question) {
    return null;
  }
  const isReveal = question.mode === 'reveal';
  const isOver = remainingS <= 0;
  // Only a person's own click counts.
  const trusted =
    (act: () => void) =>
    (event: MouseEvent): void => {
      if (event.nativeEvent.isTrusted && !isBusy) {
        act();
      }
    };
  // A click that was already under way when the question appeared does not count either, except on Deny.
  const isShut = !isSettled || isOver || isBusy;

  return (
    <div className="jp-connvault-consentBox" data-testid="connvault-dialog" data-mode={question.mode} data-question={question.id}>
      {items.length > 1 && (
        <div className="jp-connvault-queue">
          <span role="status" data-testid="connvault-queue">
            {trans.__('%1 of %2', index + 1, items.length)}
          </span>
          <ol className="jp-connvault-waiting" aria-label={trans.__('Waiting requests')}>
            {items.map((item, at) => (
              <Waiting key={item.question.id} question={item.question} isCurrent={at === index} trans={trans} />
            ))}
          </ol>
          <button
            type="button"
            className="jp-connvault-button jp-mod-ghost"
            data-testid="connvault-previous"
            data-act="previous"
            aria-label={trans.__('Previous request')}
            disabled={index === 0}
            onClick={trusted(() => props.onMove(-1))}
          >
            <Icon name="back" />
          </button>
          <button
            type="button"
            className="jp-connvault-button jp-mod-ghost"
            data-testid="connvault-next"
            data-act="next"
            aria-label={trans.__('Next request')}
            disabled={index === items.length - 1}
            onClick={trusted(() => props.onMove(1))}
          >
            <Icon name="next" />
          </button>
        </div>
      )}
      <div className="jp-connvault-consentScroll">
        <QuestionCard
          key={`${question.id} ${question.digest}`}
          question={question}
          provider={props.provider}
          duration={duration}
          titleId={`${idPrefix}-title`}
          bodyId={`${idPrefix}-body`}
          trans={trans}
          onDuration={props.onDuration}
        />
      </div>
      {notice && (
        <Banner tone="warn" icon="warn" isAlert>
          {notice}
        </Banner>
      )}
      <div className="jp-connvault-answers">
        {!isReveal && (
          <button
            type="button"
            className="jp-connvault-button jp-mod-link"
            data-testid="connvault-never"
            data-act="deny_always"
            aria-disabled={isShut}
            onClick={trusted(() => !isShut && props.onDecide('deny_always'))}
          >
            {neverWord(question.requester.kind, trans)}
          </button>
        )}
        <span className="jp-connvault-grow" />
        <button
          type="button"
          className="jp-connvault-button jp-mod-deny"
          data-testid="connvault-deny"
          data-act="deny"
          data-first
          onClick={trusted(() => props.onDecide('deny'))}
        >
          {trans.__('Deny')}
          <Countdown remainingS={remainingS} trans={trans} />
        </button>
        <button
          type="button"
          className={`jp-connvault-button ${isReveal ? 'jp-mod-danger' : 'jp-mod-primary'}`}
          data-testid="connvault-allow"
          data-act="allow"
          aria-disabled={isShut}
          onClick={trusted(() => !isShut && props.onDecide(duration ?? 'once'))}
        >
          {isReveal ? trans.__('Reveal this time') : trans.__('Allow')}
        </button>
      </div>
    </div>
  );
}

/** One of several waiting questions: what it asks for, and how the secret would travel. */
function Waiting({ question, isCurrent, trans }: { question: Question; isCurrent: boolean; trans: TranslationBundle }): JSX.Element {
  const { icon, tone, word } = modeWords(question.mode, trans);
  const name = foreignText(question.connection);
  return (
    <li aria-current={isCurrent ? 'step' : undefined} title={`${name} · ${word}`}>
      <Icon name={icon} className={`jp-mod-${tone}`} />
      <bdi>{name}</bdi>
      <span className="jp-connvault-unseen">{word}</span>
    </li>
  );
}

function neverWord(kind: string, trans: TranslationBundle): string {
  switch (kind) {
    case 'notebook':
      return trans.__('Never for this notebook');
    case 'script':
      return trans.__('Never for this script');
    default:
      return trans.__('Never for this process');
  }
}
