/**
 * The form of a new or an existing connection. It sends nothing itself; `onSave` does.
 */
import type { TranslationBundle } from '@jupyterlab/translation';
import type { FormEvent, ReactNode } from 'react';
import { useEffect, useId, useRef, useState } from 'react';

import type { ConnectionView, FieldValue, Proposal, ProviderDefinition, Scope, SecretDraft } from '../contracts';
import { ProblemError } from '../errors';
import { foreignName, foreignText } from '../foreignText';
import type { ProjectFolder } from '../tokens';
import { Banner } from '../ui/notices';
import { submitOnEnter } from '../ui/outputKeys';
import { maskingHint } from '../words/status';
import { ago } from '../words/times';
import { targetsOf } from './destination';
import { FieldFrame } from './FieldFrame';
import type { Pasted } from './paste';
import { PASTEABLE } from './paste';
import { PasteBox } from './PasteBox';
import type { Problems } from './problems';
import { NAME_FIELD, nameProblem, serverProblems } from './problems';
import { ProjectChoice } from './ProjectChoice';
import { destinationChanged, formSchema, readPrefill, revealOnly, revealsByDefault } from './schema';
import type { FormChecker, FormData } from './SchemaForm';
import { SchemaForm, startingData } from './SchemaForm';
import { SecretInputs } from './secretInputs';
import { GoesTo, SuggestionBanner } from './Suggestion';

/** What is sent. It holds the secrets only while it is being sent. */
export interface ConnectionDraft {
  name: string;
  fields: { [name: string]: FieldValue };
  secrets: { [field: string]: SecretDraft };
  /** Left out if code can get nothing but plain text. */
  reveal_allowed?: boolean;
  /** With the project's folder, for a new connection of a project. */
  scope?: Scope;
  workspace?: string;
}

export interface ConnectionFormProps {
  provider: ProviderDefinition;
  /** The connection to edit; left out for a new one. */
  existing?: ConnectionView;
  /** What code suggests for a new connection; shown as a suggestion. */
  proposal?: Proposal;
  /** Whether the server lets code ask for plain text at all. */
  revealAllowed: boolean;
  /** Returns what was pasted before the form was drawn, with its secret; only once. */
  takePasted?: () => Pasted | null;
  /** The file that an existing one is in, if it is a project's. */
  project?: string;
  /** Where a new connection can be committed. */
  folders?: readonly ProjectFolder[];
  /** Returns the names that one in this folder can't have; `null`: one of the person's own. */
  takenNames: (folder: string | null) => readonly string[];
  /** Drawn above the fields: what has to happen before a secret can be saved. */
  notice?: ReactNode;
  trans: TranslationBundle;
  onSave: (draft: ConnectionDraft, andTest: boolean) => Promise<void>;
  onCancel: () => void;
}

export function ConnectionForm(props: ConnectionFormProps): JSX.Element {
  const { provider, existing, proposal, trans } = props;
  const id = useId().replaceAll(':', '-');
  const checker = useRef<FormChecker | null>(null);
  const form = useRef<HTMLFormElement>(null);
  const [secrets] = useState(() => new SecretInputs());
  const [name, setName] = useState(existing?.connection.name ?? proposal?.name ?? '');
  const [data, setData] = useState<FormData>(() =>
    startingData(provider, { ...readPrefill(provider, proposal?.fields), ...existing?.connection.fields })
  );
  const [folder, setFolder] = useState<string | null>(null);
  const [mayReveal, setMayReveal] = useState(existing?.connection.reveal_allowed ?? revealsByDefault(provider));
  // A value is shown as suggested until the person changes it.
  const [suggestion] = useState(() => readPrefill(provider, proposal?.fields));
  const suggested = Object.keys(suggestion).filter(field => data[field] === suggestion[field]);
  const targets = targetsOf(provider, data);
  const [isConfirmed, setConfirmed] = useState(false);
  // A port alone does not lead elsewhere: the person must have typed or confirmed the text that names the place.
  const isLocked =
    !isConfirmed &&
    targets.some(({ fields }) => fields.some(field => suggested.includes(field) && typeof data[field] === 'string'));
  const [problems, setProblems] = useState<Problems>({});
  const [isBusy, setBusy] = useState(false);
  const [isPasting, setPasting] = useState(false);
  const wasAsked = useRef(false);
  const { destination } = formSchema(provider);

  // A connection need not have every field; one that is not stored has its default, which the form fills in.
  const [stored] = useState(() => startingData(provider, { ...existing?.connection.fields }));
  const isMoved = existing !== undefined && destinationChanged(stored, data, destination);
  const storedSecret = (field: string): string => {
    const secret = existing?.secrets?.[field];
    return secret && !isMoved
      ? [trans.__('Set %1.', ago(secret.set_at, Date.now(), trans)), maskingHint(secret, trans)].join(' ').trim()
      : '';
  };

  const take = (pasted: Pasted): void => {
    setData(before => ({ ...before, ...readPrefill(provider, pasted.fields) }));
    for (const [field, value] of Object.entries(pasted.secrets)) {
      secrets.fill(field, value);
    }
    setProblems({});
    setPasting(false);
    // What a person pasted, a person chose.
    setConfirmed(true);
  };

  const { takePasted } = props;
  useEffect(() => {
    const pasted = takePasted?.();
    if (pasted) {
      take(pasted);
    }
    // Only once: what was pasted belongs to this opening of the form.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, []);

  const found = (value: FormData, isDraft: boolean): Problems => {
    const problem = nameProblem(name, props.takenNames(folder), trans);
    const rest = checker.current?.check(value, { isDraft }) ?? {};
    return problem ? { [NAME_FIELD]: problem, ...rest } : rest;
  };

  const change = (value: FormData): void => {
    setData(value);
    if (wasAsked.current) {
      setProblems(before => keepOnly(before, found(value, true)));
    }
  };

  const send = async (andTest: boolean): Promise<void> => {
    const current = checker.current;
    if (isBusy || !current) {
      return;
    }
    wasAsked.current = true;
    const wrong = found(data, !andTest);
    setProblems(wrong);
    if (Object.keys(wrong).length) {
      focusFirst(form.current);
      return;
    }
    setBusy(true);
    const draft: ConnectionDraft = { name, fields: current.fields(data), secrets: secrets.drafts() };
    if (!revealOnly(provider)) {
      draft.reveal_allowed = mayReveal;
    }
    if (folder !== null) {
      draft.scope = 'workspace';
      draft.workspace = folder;
    }
    const sent = props.onSave(draft, andTest);
    const hadSecret = secrets.anyFilled;
    secrets.clear();
    try {
      await sent;
    } catch (error) {
      const refused = error instanceof ProblemError ? serverProblems(error.errors, error.detail) : { '': String(error) };
      if (error instanceof ProblemError && error.code === 'name_taken') {
        setProblems({ [NAME_FIELD]: error.detail });
      } else {
        setProblems(refused);
      }
      if (hadSecret) {
        setProblems(before => ({ ...before, ...enterAgain(provider, existing, before, trans) }));
      }
      setBusy(false);
      focusFirst(form.current);
    }
  };

  const submit = (event: FormEvent<HTMLFormElement>): void => {
    event.preventDefault();
    const submitter = (event.nativeEvent as SubmitEvent).submitter as HTMLButtonElement | null;
    void send(submitter?.value !== 'save' && (provider.testable ?? false));
  };

  return (
    <form
      ref={form}
      className="jp-connvault-form"
      data-testid="connvault-form"
      aria-busy={isBusy}
      noValidate
      autoComplete="off"
      onSubmit={submit}
      onKeyDown={submitOnEnter}
    >
      <div className="jp-connvault-scroll">
        {props.notice}
        {proposal && (
          <SuggestionBanner
            proposal={proposal}
            targets={targets}
            isConfirmed={!isLocked}
            trans={trans}
            onConfirm={() => setConfirmed(true)}
          />
        )}
        {problems[''] && (
          <Banner tone="err" icon="warn" isAlert>
            {problems['']}
          </Banner>
        )}
        <FieldFrame
          id={`${id}-name`}
          label={trans.__('Name used in code')}
          problem={problems[NAME_FIELD]}
          hint={<code>connection(&quot;{foreignText(name) || 'warehouse'}&quot;)</code>}
          isSuggested={proposal?.name ? name === proposal.name : false}
          trans={trans}
        >
          <input
            id={`${id}-name`}
            name="connection-name"
            className="jp-connvault-input"
            data-testid="connvault-field-name"
            autoComplete="off"
            autoCapitalize="off"
            spellCheck={false}
            autoFocus
            aria-required
            aria-invalid={problems[NAME_FIELD] ? true : undefined}
            aria-describedby={`${id}-name__error ${id}-name__help`}
            value={name}
            onChange={event => {
              setName(event.target.value);
              if (problems[NAME_FIELD]) {
                setProblems(before => without(before, NAME_FIELD));
              }
            }}
          />
        </FieldFrame>
        {props.project && (
          <p className="jp-connvault-note" data-testid="connvault-form-project">
            {trans.__('What you save here is also written into %1, without the secret: commit it, and everybody else reviews it.', foreignName(props.project))}
          </p>
        )}
        {!existing && props.folders && props.folders.length > 0 && (
          <ProjectChoice folders={props.folders} value={folder} trans={trans} onChange={setFolder} />
        )}
        {isMoved && Object.keys(existing?.secrets ?? {}).length > 0 && (
          <Banner tone="warn" icon="key" testId="connvault-moved">
            {trans.__('The destination changes: enter the secret again. Notebooks have to ask for permission again too.')}
          </Banner>
        )}
        <SchemaForm
          provider={provider}
          idPrefix={`connvault${id}`}
          data={data}
          problems={problems}
          secrets={secrets}
          storedSecret={storedSecret}
          suggested={suggested}
          isLocked={isLocked}
          goesToId={`${id}-goes-to`}
          isMoved={isMoved && Object.keys(existing?.secrets ?? {}).length > 0}
          checker={checker}
          trans={trans}
          onChange={change}
          onSecretInput={field => {
            if (problems[field]) {
              setProblems(before => without(before, field));
            }
          }}
        />
        {!revealOnly(provider) && (
          <div className="jp-connvault-field">
            <label className="jp-connvault-check">
              <input
                type="checkbox"
                data-testid="connvault-field-reveal_allowed"
                aria-describedby={`${id}-reveal__help`}
                checked={mayReveal}
                onChange={event => setMayReveal(event.target.checked)}
              />
              <span>{trans.__('Let notebook code ask for the plain text')}</span>
            </label>
            <div id={`${id}-reveal__help`} className="jp-connvault-hint">
              {props.revealAllowed
                ? trans.__('You are asked each time. If you allow it, the code has the secret itself and can print, copy or send it.')
                : trans.__('This server never lets notebook code ask for it, whatever you choose here.')}
            </div>
          </div>
        )}
        {!existing &&
          PASTEABLE.has(provider.id) &&
          (isPasting ? (
            <PasteBox providerId={provider.id} trans={trans} onTake={take} onCancel={() => setPasting(false)} />
          ) : (
            <div className="jp-connvault-field">
              <button type="button" className="jp-connvault-button jp-mod-link" onClick={() => setPasting(true)}>
                {trans.__('Paste a URL or command instead')}
              </button>
            </div>
          ))}
      </div>
      <GoesTo id={`${id}-goes-to`} targets={targets} trans={trans} />
      <div className="jp-connvault-foot">
        {provider.testable && (
          <button
            type="submit"
            value="test"
            className="jp-connvault-button jp-mod-primary"
            data-testid="connvault-save-test"
            disabled={isBusy}
          >
            {isBusy ? trans.__('Saving …') : trans.__('Save and test')}
          </button>
        )}
        <button
          type="submit"
          value="save"
          className={`jp-connvault-button ${provider.testable ? '' : 'jp-mod-primary'}`}
          data-testid="connvault-save"
          disabled={isBusy}
        >
          {trans.__('Save')}
        </button>
        <span className="jp-connvault-grow" />
        <button type="button" className="jp-connvault-button jp-mod-link" onClick={props.onCancel}>
          {trans.__('Cancel')}
        </button>
      </div>
    </form>
  );
}

function without(problems: Problems, field: string): Problems {
  return Object.fromEntries(Object.entries(problems).filter(([name]) => name !== field));
}

/** Keeps those of the shown problems that still exist; a field that was not tried yet is left alone. */
function keepOnly(shown: Problems, now: Problems): Problems {
  return Object.fromEntries(Object.entries(now).filter(([field]) => field in shown));
}

/** Asks for a secret again after a refusal, because the inputs were emptied when it was sent. */
function enterAgain(
  provider: ProviderDefinition,
  existing: ConnectionView | undefined,
  problems: Problems,
  trans: TranslationBundle
): Problems {
  const empty = formSchema(provider).secrets.filter(field => !existing?.secrets?.[field] && !problems[field]);
  return Object.fromEntries(empty.slice(0, 1).map(field => [field, trans.__('Enter it again, then save.')]));
}

function focusFirst(form: HTMLFormElement | null): void {
  // After React has drawn the problems.
  const first = '[aria-invalid="true"]:enabled, [data-testid="connvault-confirm-destination"]';
  requestAnimationFrame(() => form?.querySelector<HTMLElement>(first)?.focus());
}
