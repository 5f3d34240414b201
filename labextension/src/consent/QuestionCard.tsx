/**
 * One question as a person sees it. Everything that matters for the decision is in view: who, what, where, how, why and
 * for how long.
 */
import type { TranslationBundle } from '@jupyterlab/translation';
import { useId } from 'react';

import type { Duration, ProviderDefinition, Question } from '../contracts';
import { fileName, foreignName, foreignText } from '../foreignText';
import { Glyph, Icon, ProviderIcon } from '../ui/icons';
import { durationWord, hiddenWord, requesterIcon } from '../words/decisions';
import { modeWords, questionHow } from '../words/modes';
import { length } from '../words/times';

interface QuestionCardProps {
  question: Question;
  provider: ProviderDefinition | undefined;
  duration: Duration | null;
  titleId: string;
  bodyId: string;
  trans: TranslationBundle;
  onDuration: (duration: Duration) => void;
}

export function QuestionCard(props: QuestionCardProps): JSX.Element {
  const { question, provider, titleId, bodyId, trans } = props;
  const { requester } = question;
  const isReveal = question.mode === 'reveal';
  return (
    <>
      <h2 id={titleId} className="jp-connvault-question">
        <Sentence question={question} trans={trans} />
      </h2>
      <div id={bodyId}>
        <div className="jp-connvault-flow">
          <div className="jp-connvault-party">
            <Glyph name={requesterIcon(requester.kind)} />
            <span>
              <b>
                <bdi>{fileName(requester.label)}</bdi>
              </b>
              <small>{partyLine(question, trans)}</small>
            </span>
          </div>
          <Icon name="arrow" />
          <div className="jp-connvault-party">
            <ProviderIcon provider={provider} />
            <span>
              <b>
                <bdi>{foreignName(question.connection)}</bdi>
              </b>
              <small>
                <bdi>{foreignName(question.provider_name)}</bdi>
              </small>
            </span>
          </div>
        </div>
        <dl className="jp-connvault-facts">
          <Fact name={pathName(question, trans)} value={requester.path || requester.label} />
          {requester.kind === 'detached' && requester.evidence && (
            <Fact name={trans.__('Identified by')} value={requester.evidence} />
          )}
          <Fact name={trans.__('Destination')} value={question.destination} />
        </dl>
        <How question={question} provider={provider} trans={trans} />
        {question.agent !== null && (
          <p className="jp-connvault-quote">
            {trans.__('The code says that it acts for “%1”. connvault can’t verify that.', foreignName(question.agent))}
          </p>
        )}
        {question.reasons.length > 0 && (
          <div className="jp-connvault-quote">
            {question.reasons.map((reason, index) => (
              // Two reasons may read the same once parts of them are masked.
              <p key={index}>
                {trans.__('The code says:')} <bdi>“{foreignText(reason)}”</bdi>
              </p>
            ))}
          </div>
        )}
        {question.claims_hidden !== null && (
          <p className="jp-connvault-quote">
            {trans.__('What the code says: %1', hiddenWord(question.claims_hidden, trans))}
          </p>
        )}
      </div>
      {!isReveal && question.durations.length > 0 && <Durations {...props} />}
    </>
  );
}

function Sentence({ question, trans }: { question: Question; trans: TranslationBundle }): JSX.Element {
  const name = (
    <em>
      <bdi>{foreignName(question.connection)}</bdi>
    </em>
  );
  // Translated as a whole, then split at the name.
  const [before, after] = pattern(question, trans).split('%1');
  return (
    <>
      {before}
      {name}
      {after}
    </>
  );
}

function pattern(question: Question, trans: TranslationBundle): string {
  const name = '%1';
  if (question.mode === 'reveal') {
    switch (question.requester.kind) {
      case 'notebook':
        return trans.__('Give this notebook the secret of %1?', name);
      case 'script':
        return trans.__('Give this script the secret of %1?', name);
      case 'console':
        return trans.__('Give this console the secret of %1?', name);
      default:
        return trans.__('Give this process the secret of %1?', name);
    }
  }
  switch (question.requester.kind) {
    case 'notebook':
      return trans.__('Let this notebook use %1?', name);
    case 'script':
      return trans.__('Let this script use %1?', name);
    case 'console':
      return trans.__('Let this console use %1?', name);
    default:
      return trans.__('Let this process use %1?', name);
  }
}

function partyLine({ requester }: Question, trans: TranslationBundle): string {
  switch (requester.kind) {
    case 'notebook':
    case 'console':
      return foreignName(requester.kernel ?? '') || trans.__('kernel');
    case 'script':
      return trans.__('Script · process %1', requester.pid);
    case 'server':
      return trans.__('Server process %1', requester.pid);
    case 'detached':
      return trans.__('Detached process %1', requester.pid);
  }
}

function pathName({ requester }: Question, trans: TranslationBundle): string {
  switch (requester.kind) {
    case 'notebook':
      return trans.__('Notebook');
    case 'console':
      return trans.__('Console');
    case 'script':
      return trans.__('Script');
    default:
      return trans.__('Process');
  }
}

function Fact({ name, value }: { name: string; value: string }): JSX.Element | null {
  const clean = foreignName(value);
  if (!clean) {
    return null;
  }
  return (
    <>
      <dt>{name}</dt>
      <dd>
        <bdi>{clean}</bdi>
      </dd>
    </>
  );
}

function How({ question, provider, trans }: Pick<QuestionCardProps, 'question' | 'provider' | 'trans'>): JSX.Element {
  const { icon, tone } = modeWords(question.mode, trans);
  const { lead, text, more } = questionHow(question, provider, trans);
  return (
    <div className={`jp-connvault-how jp-mod-${tone}`} data-testid={`connvault-mode-${question.mode}`}>
      <Icon name={icon} />
      <span>
        <b>{lead}</b> {text}
        {more && <small>{more}</small>}
      </span>
    </div>
  );
}

function Durations({ question, duration, trans, onDuration }: QuestionCardProps): JSX.Element {
  const group = useId();
  return (
    <fieldset className="jp-connvault-durations">
      <legend>{trans.__('Allow')}</legend>
      <div>
        {question.durations.map(item => (
          <label key={item} data-testid={`connvault-duration-${item}`} data-chosen={item === duration || undefined}>
            <input
              type="radio"
              name={group}
              value={item}
              checked={item === duration}
              onChange={event => event.nativeEvent.isTrusted && onDuration(item)}
            />
            <span>
              {durationWord(item, question.for_s, question.requester.kind, trans)}
              {item === 'once' && <small>{trans.__('up to %1', length(question.once_limit_s, trans))}</small>}
            </span>
          </label>
        ))}
      </div>
      {isUnnamed(question) && (
        <small data-testid="connvault-unnamed">{trans.__('Save the notebook under a name to allow it for longer.')}</small>
      )}
    </fieldset>
  );
}

/** Whether nothing longer is offered because the notebook has no name yet. */
function isUnnamed({ requester, durations }: Question): boolean {
  const isShort = !durations.includes('for') && !durations.includes('always');
  return isShort && requester.kind === 'notebook' && /^Untitled/.test(fileName(requester.label));
}
