/**
 * What happened with a connection: when, who, what, how, and with which outcome.
 */
import type { TranslationBundle } from '@jupyterlab/translation';
import { Fragment } from 'react';

import type { AuditEvent, AuditVerification } from '../contracts';
import { fileName, foreignName, foreignText } from '../foreignText';
import { BreakableName } from '../ui/ForeignName';
import { Icon } from '../ui/icons';
import { Pill } from '../ui/Pill';
import { hiddenWord } from '../words/decisions';
import { eventWords } from '../words/events';
import { modeWords } from '../words/modes';
import { exactly, stamp } from '../words/times';

/** Consecutive rows that say the same. */
interface Run {
  event: AuditEvent;
  count: number;
}

// A checkout of a pooled connection is a use, like a login.
const USES = new Set<AuditEvent['type']>(['access:used', 'access:checked']);

function runs(events: readonly AuditEvent[]): Run[] {
  // A question is shown by its answer; one without an answer is still waiting.
  const answered = new Set(events.filter(event => event.type !== 'access:asked').map(event => event.question_id));
  const found: Run[] = [];
  for (const event of events) {
    const last = found[found.length - 1];
    if (event.type === 'access:asked' && event.question_id && answered.has(event.question_id)) {
      continue;
    }
    // A test is logged before it runs; a failure is a second event.
    if (event.type === 'connection:tested' && last?.event.type === 'connection:tested' && last.event.outcome !== 'ok' && event.outcome === 'ok') {
      continue;
    }
    if (last && USES.has(event.type) && USES.has(last.event.type) && sameWords(last.event, event)) {
      last.count++;
    } else {
      found.push({ event, count: 1 });
    }
  }
  return found;
}

function sameWords(one: AuditEvent, other: AuditEvent): boolean {
  return (
    ['outcome', 'code', 'requester_key', 'requester_label', 'mode', 'decision', 'agent', 'claims_hidden'] as const
  ).every(key => one[key] === other[key]);
}

function who(event: AuditEvent, trans: TranslationBundle): string {
  if (!event.requester_label) {
    return event.count ? trans.__('processes outside kernels') : trans.__('you');
  }
  const name = fileName(event.requester_label);
  return event.requester_kind === 'script' ? trans.__('%1 (script)', name) : name;
}

interface ActivityRowsProps {
  events: readonly AuditEvent[];
  now: number;
  /** At most this many rows; all of them if left out. */
  limit?: number;
  trans: TranslationBundle;
}

export function ActivityRows({ events, now, limit, trans }: ActivityRowsProps): JSX.Element {
  return (
    <ul className="jp-connvault-lines">
      {runs(events).slice(0, limit).map(({ event, count: rows }) => {
        const count = event.count ?? rows;
        const words = eventWords(event, trans);
        const more = [
          event.mode && words.outcome?.text !== modeWords(event.mode, trans).word ? modeWords(event.mode, trans).word : '',
          event.agent ? trans.__('says it acts for %1', foreignName(event.agent)) : '',
          event.reason_claim ? `“${foreignText(event.reason_claim)}”` : '',
          event.claims_hidden ? trans.__('what the code said: %1', hiddenWord(event.claims_hidden, trans)) : ''
        ].filter(Boolean);
        return (
          <li key={event.sequence} className="jp-connvault-event" data-testid={`connvault-event-${event.type}`}>
            <time dateTime={event.at} title={exactly(event.at)}>
              {stamp(event.at, now)}
            </time>
            <div className="jp-connvault-eventLine">
              <span title={foreignName(event.requester_label ?? '')}>
                <bdi>
                  <BreakableName text={who(event, trans)} />
                </bdi>{' '}
                · {words.what}
                {count > 1 && <> ×{count}</>}
              </span>
              {words.outcome && <Pill word={words.outcome} />}
            </div>
            {more.length > 0 && (
              <small>
                {more.map((text, index) => (
                  <Fragment key={text}>
                    {index > 0 && ' · '}
                    <bdi>{text}</bdi>
                  </Fragment>
                ))}
              </small>
            )}
          </li>
        );
      })}
    </ul>
  );
}

interface ActivityTabProps extends Omit<ActivityRowsProps, 'limit'> {
  trouble: string;
  hasMore: boolean;
  onMore: () => void;
}

export function ActivityTab(props: ActivityTabProps): JSX.Element {
  const { events, trans, trouble } = props;
  return (
    <div className="jp-connvault-scroll">
      {trouble && <p className="jp-connvault-empty">{trouble}</p>}
      {!trouble && !events.length && (
        <p className="jp-connvault-empty">{trans.__('No activity yet. Each use will be listed here.')}</p>
      )}
      <ActivityRows events={events} now={props.now} trans={trans} />
      {props.hasMore && (
        <div className="jp-connvault-field">
          <button type="button" className="jp-connvault-button" onClick={props.onMore}>
            {trans.__('Show older')}
          </button>
        </div>
      )}
    </div>
  );
}

/** What of the log did not get to where it is sent; nothing while it does. */
function streamTrouble(verification: AuditVerification, trans: TranslationBundle): string {
  const { stream } = verification;
  const missing = stream ? stream.lost + stream.refused : 0;
  if (stream?.failing_since) {
    return trans.__('Not sent to %1 since %2', stream.destination, exactly(stream.failing_since));
  }
  return missing ? trans._n('%1 event did not get to %2', '%1 events did not get to %2', missing, stream!.destination) : '';
}

/** "Consistent", not "verified": changes by code of the same user are detected, not prevented. */
export function RecordLine({
  verification,
  trans
}: {
  verification: AuditVerification | null;
  trans: TranslationBundle;
}): JSX.Element {
  if (!verification) {
    return <small className="jp-connvault-grow">{trans.__('Checking the activity log …')}</small>;
  }
  const trouble = streamTrouble(verification, trans);
  return verification.consistent ? (
    <>
      <Icon name="check" className="jp-mod-ok" />
      <small className="jp-connvault-grow" data-testid="connvault-record">
        {trans._n('Activity log consistent, %1 event', 'Activity log consistent, %1 events', verification.events)}
        {trouble && (
          <>
            . <bdi>{trouble}</bdi>
          </>
        )}
      </small>
    </>
  ) : (
    <>
      <Icon name="warn" className="jp-mod-err" />
      <small className="jp-connvault-grow" data-testid="connvault-record">
        {trans.__(
          'The activity log was changed outside connvault (at event %1).',
          verification.broken_at ?? verification.first_sequence
        )}
      </small>
    </>
  );
}
