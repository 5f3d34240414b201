/**
 * One connection: where it goes, whether its secrets are set (never their values), how notebooks use it, its last test.
 */
import type { TranslationBundle } from '@jupyterlab/translation';
import type { FormEvent } from 'react';
import { useEffect, useId, useRef, useState } from 'react';

import type { AuditEvent, ConnectionView, ProviderDefinition, TestOutcome } from '../contracts';
import { messageOf } from '../errors';
import { foreignText } from '../foreignText';
import { FieldFrame } from '../form/FieldFrame';
import { fieldTitle, propertiesOf, requiredSecrets, revealOnly } from '../form/schema';
import { SecretInputBox } from '../form/SecretInputBox';
import { SecretInputs } from '../form/secretInputs';
import { ForeignName } from '../ui/ForeignName';
import { Icon } from '../ui/icons';
import { Banner, NotSealed } from '../ui/notices';
import { submitOnEnter } from '../ui/outputKeys';
import { howWord, modeWords, deliveryAdvice } from '../words/modes';
import { isForeign, leavesProject, maskingHint, mayBeRevealed, statusAdvice } from '../words/status';
import { ago, exactly } from '../words/times';
import { ActivityRows } from './ActivityTab';

const RECENT_ROWS = 3;

interface DetailsTabProps {
  view: ConnectionView;
  provider: ProviderDefinition | undefined;
  /** Whether the server lets code ask for plain text at all. */
  revealAllowed: boolean;
  /** The file of the project that it is of. */
  project?: string;
  recent: readonly AuditEvent[];
  now: number;
  /** Whether a secret leaves this page sealed. */
  seals: boolean;
  trans: TranslationBundle;
  /** Opens the input for the secret whenever it changes to another object. */
  asked: object | null;
  /** Resolves to whether the connection is ready then; `seen` is its revision when the input for the secret opened. */
  onReplace: (field: string, value: string, seen: number) => Promise<boolean>;
  /** Runs one test; whoever passed this function shows what goes wrong. */
  onTest: () => Promise<void>;
  onShowActivity: () => void;
  /** Shows what its project's file says now. */
  onReview: () => void;
}

export function DetailsTab(props: DetailsTabProps): JSX.Element {
  const { view, provider, recent, now, trans } = props;
  const { connection } = view;
  const [isTesting, setTesting] = useState(false);
  const advice = statusAdvice(view, trans);
  // The secrets that are stored, and those that the schema requires in this case.
  const asked = provider ? requiredSecrets(provider, connection.fields ?? {}) : [];
  // A connection that was changed outside connvault, or in its project, has to be reviewed first.
  const isReviewed = connection.status_reason !== 'edited' && !leavesProject(connection);
  const secrets = isReviewed ? [...new Set([...asked, ...Object.keys(view.secrets ?? {})])] : [];
  const hasFailed = view.last_test?.ok === false;
  const test = (): void => {
    setTesting(true);
    void props.onTest().finally(() => setTesting(false));
  };
  return (
    <div className="jp-connvault-scroll">
      {advice && (
        <Banner
          tone={connection.status === 'invalid' ? 'err' : 'warn'}
          icon="warn"
          action={
            leavesProject(connection) && (
              <button
                type="button"
                className="jp-connvault-button jp-mod-link"
                data-testid="connvault-review"
                onClick={props.onReview}
              >
                {trans.__('Review')}
              </button>
            )
          }
        >
          {advice}
        </Banner>
      )}
      <div className="jp-connvault-field">
        <span className="jp-connvault-label">{foreignText(provider?.name ?? connection.provider_id)}</span>
        {(view.destination || connection.status !== 'ready') && (
          <ForeignName className="jp-connvault-whole" text={view.destination || trans.__('No destination yet')} />
        )}
      </div>
      {props.project && (
        <div className="jp-connvault-field" data-testid="connvault-project">
          <span className="jp-connvault-label">{trans.__('Of a project')}</span>
          <ForeignName className="jp-connvault-whole" text={props.project} />
        </div>
      )}
      {secrets.map((field, index) => (
        <SecretLine
          key={`${connection.id} ${field}`}
          field={field}
          title={fieldTitle(provider, field)}
          multiline={provider !== undefined && propertiesOf(provider.fields)[field]?.['x-multiline'] === true}
          setAt={isForeign(connection) ? null : (view.secrets?.[field]?.set_at ?? null)}
          hint={maskingHint(view.secrets?.[field], trans)}
          isUnreadable={connection.status_reason === 'secret_unreadable'}
          now={now}
          seals={props.seals}
          revision={connection.revision}
          trans={trans}
          asked={index === 0 ? props.asked : null}
          isTested={provider?.testable === true}
          onReplace={async (value, seen) => {
            if ((await props.onReplace(field, value, seen)) && provider?.testable) {
              test();
            }
          }}
        />
      ))}
      {((view.modes ?? []).length > 0 || !revealOnly(provider)) && (
        <div className="jp-connvault-field">
          <span className="jp-connvault-label">{trans.__('How notebooks use it')}</span>
          {(view.modes ?? []).map(mode => {
            const words = modeWords(mode, trans);
            const advice = deliveryAdvice(mode, view.delivery, trans);
            return (
              <div key={mode} className="jp-connvault-box jp-mod-top" data-testid={`connvault-how-${mode}`}>
                <Icon name={words.icon} className={`jp-mod-${words.tone}`} />
                <span className="jp-connvault-grow">
                  <b className="jp-connvault-first">{howWord(mode, view.delivery, trans)}</b>
                  <p className="jp-connvault-hint">
                    {words.sentence} {advice}
                  </p>
                </span>
              </div>
            );
          })}
          {!revealOnly(provider) && (
            <RevealLine
              isAllowed={mayBeRevealed(view, provider, props.revealAllowed)}
              byServer={props.revealAllowed}
              trans={trans}
            />
          )}
        </div>
      )}
      {provider?.testable && (
        <div className="jp-connvault-field" data-testid="connvault-last-test">
          <span className="jp-connvault-label">{trans.__('Last test')}</span>
          <div className={`jp-connvault-box ${hasFailed ? 'jp-mod-err' : ''}`}>
            <TestLine outcome={view.last_test ?? null} now={now} trans={trans} />
            <button
              type="button"
              className="jp-connvault-button jp-mod-link"
              data-testid="connvault-test"
              disabled={isTesting || connection.status !== 'ready'}
              onClick={test}
            >
              {isTesting ? trans.__('Testing …') : hasFailed ? trans.__('Test again') : trans.__('Test')}
            </button>
          </div>
        </div>
      )}
      {recent.length > 0 && (
        <section aria-label={trans.__('Recent activity')}>
          <div className="jp-connvault-group">{trans.__('Recent activity')}</div>
          <ActivityRows events={recent} limit={RECENT_ROWS} now={now} trans={trans} />
          <div className="jp-connvault-field">
            <button type="button" className="jp-connvault-button jp-mod-link" onClick={props.onShowActivity}>
              {trans.__('All activity')}
            </button>
          </div>
        </section>
      )}
    </div>
  );
}

interface RevealLineProps {
  isAllowed: boolean;
  /** Whether the server allows it. */
  byServer: boolean;
  trans: TranslationBundle;
}

function RevealLine({ isAllowed, byServer, trans }: RevealLineProps): JSX.Element {
  return (
    <div className="jp-connvault-box" data-testid={isAllowed ? 'connvault-reveal-on' : 'connvault-reveal-off'}>
      <Icon name={isAllowed ? 'eye' : 'stop'} />
      <span>
        {isAllowed
          ? trans.__('Notebook code may ask for the plain text. You are asked each time.')
          : byServer
            ? trans.__('Notebook code may not ask for the plain text.')
            : trans.__('This server never lets notebook code ask for the plain text.')}
      </span>
    </div>
  );
}

function TestLine({ outcome, now, trans }: { outcome: TestOutcome | null; now: number; trans: TranslationBundle }): JSX.Element {
  if (!outcome) {
    return <span className="jp-connvault-grow">{trans.__('Not tested yet')}</span>;
  }
  const when = <small title={exactly(outcome.at)}>{ago(outcome.at, now, trans)}</small>;
  return (
    <>
      <Icon name={outcome.ok ? 'check' : 'warn'} className={outcome.ok ? 'jp-mod-ok' : 'jp-mod-err'} />
      <span className="jp-connvault-grow">
        {outcome.ok ? trans.__('Connected in %1 ms', outcome.elapsed_ms) : foreignText(outcome.detail)}
        {outcome.ok && outcome.server && <> · {foreignText(outcome.server)}</>} {when}
      </span>
    </>
  );
}

interface SecretLineProps {
  field: string;
  title: string;
  multiline: boolean;
  setAt: string | null;
  hint: string;
  isUnreadable: boolean;
  asked: object | null;
  isTested: boolean;
  now: number;
  seals: boolean;
  /** The revision of the connection as it is shown now. */
  revision: number;
  trans: TranslationBundle;
  onReplace: (value: string, seen: number) => Promise<void>;
}

function SecretLine(props: SecretLineProps): JSX.Element {
  const { field, title, setAt, isUnreadable, asked, now, revision, trans } = props;
  const [isOpen, setOpen] = useState(asked !== null);
  const [isBusy, setBusy] = useState(false);
  const [problem, setProblem] = useState('');
  const [secrets] = useState(() => new SecretInputs());
  const id = useId();
  // The secret is meant for the destination shown when the input opened, not for one that has replaced it by the time
  // the secret is sent. After a refusal, which says so, it is meant for the one shown then.
  const seen = useRef(revision);
  if (!isOpen || problem) {
    seen.current = revision;
  }

  useEffect(() => {
    if (asked) {
      setOpen(true);
    }
  }, [asked]);

  const send = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    const draft = secrets.drafts()[field];
    if (isBusy || !draft) {
      setProblem(trans.__('Enter the new one.'));
      return;
    }
    setBusy(true);
    const sent = props.onReplace(draft.value, seen.current);
    secrets.clear();
    try {
      await sent;
      setOpen(false);
      setProblem('');
    } catch (error) {
      setProblem(messageOf(error));
    }
    setBusy(false);
  };

  if (!isOpen) {
    return (
      <div className="jp-connvault-field">
        <span className="jp-connvault-label">{foreignText(title)}</span>
        <div className="jp-connvault-box">
          <Icon name="lock" />
          <span className="jp-connvault-grow" title={setAt ? exactly(setAt) : undefined}>
            {isUnreadable
              ? trans.__("Can no longer be read")
              : setAt
                ? trans.__('Set %1', ago(setAt, now, trans))
                : trans.__('Not set')}
          </span>
          <button
            type="button"
            className={`jp-connvault-button ${setAt && !isUnreadable ? 'jp-mod-link' : 'jp-mod-primary'}`}
            data-testid={`connvault-replace-${field}`}
            aria-label={setAt ? trans.__('Replace: %1', title) : trans.__('Enter: %1', title)}
            onClick={() => setOpen(true)}
          >
            {setAt ? trans.__('Replace') : trans.__('Enter')}
          </button>
        </div>
        {props.hint && (
          <div className="jp-connvault-hint" data-testid={`connvault-unmasked-${field}`}>
            {props.hint}
          </div>
        )}
      </div>
    );
  }
  return (
    <form noValidate autoComplete="off" onSubmit={event => void send(event)} onKeyDown={submitOnEnter}>
      <FieldFrame
        id={id}
        label={setAt ? trans.__('New %1', title.toLowerCase()) : title}
        hint={problem ? '' : trans.__('Goes straight to the vault and is never shown again.')}
        problem={problem}
        trans={trans}
      >
        <SecretInputBox
          id={id}
          field={field}
          multiline={props.multiline}
          secrets={secrets}
          invalid={Boolean(problem)}
          autoFocus
          onInput={() => setProblem('')}
        />
      </FieldFrame>
      <NotSealed seals={props.seals} trans={trans} />
      <div className="jp-connvault-field jp-connvault-line">
        <button
          type="submit"
          className="jp-connvault-button jp-mod-primary"
          data-testid={`connvault-replace-${field}-save`}
          disabled={isBusy}
        >
          {props.isTested ? trans.__('Save and test') : trans.__('Save')}
        </button>
        <button type="button" className="jp-connvault-button" onClick={() => setOpen(false)}>
          {trans.__('Cancel')}
        </button>
      </div>
    </form>
  );
}
