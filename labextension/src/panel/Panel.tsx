/**
 * The panel: one component for the side bar, the main area and a notebook's output.
 *
 * The list and the screen beside it are both drawn; a container query shows both where there is room, else the one that
 * `data-screen` names.
 */
import type { TranslationBundle } from '@jupyterlab/translation';
import type { FocusEvent, ReactNode, RefObject } from 'react';
import { lazy, Suspense, useEffect, useRef, useState } from 'react';

import { fileName, foreignText } from '../foreignText';
import type { ConnectionDraft, ConnectionFormProps } from '../form/ConnectionForm';
import type { Pasted } from '../form/paste';
import { Icon } from '../icons';
import type { Navigation, Place } from '../models/navigation';
import type { IConnvault } from '../tokens';
import { ConnectionList } from './ConnectionList';
import { Detail } from './Detail';
import { useChanged } from './hooks';
import { Picker } from './Picker';
import { Banner, ScreenHeader } from './pieces';
import { SetupScreen, UnlockForm } from './VaultScreens';
import { custodianWord } from './words';

// The form brings the validator, the heaviest part.
const ConnectionForm = lazy(async () => ({ default: (await import('../form/ConnectionForm')).ConnectionForm }));

export interface PanelProps {
  connvault: IConnvault;
  navigation: Navigation;
  trans: TranslationBundle;
  onInsertCode: (connectionId: string) => void;
  onAnswer: () => void;
  /** In a notebook's output: as high as its content, up to a bound. */
  isInline?: boolean;
  /** One form and what follows from it, without the list. */
  isFormOnly?: boolean;
}

export function Panel(props: PanelProps): JSX.Element {
  const { connvault, navigation, trans } = props;
  const { connections, vault, questions } = connvault;
  useChanged(connections.changed);
  useChanged(vault.changed);
  useChanged(questions.changed);
  useChanged(navigation.changed);
  const root = useRef<HTMLDivElement>(null);
  const [setupLater, setSetupLater] = useState(false);
  const { place } = navigation;

  const state = vault.state;
  const needsSetup = place.screen === 'setup' || (state?.state === 'absent' && !setupLater && place.screen === 'list' && !props.isFormOnly);
  const screen = needsSetup ? 'setup' : place.screen;
  useScreenFocus(root, screen);

  if (needsSetup && state) {
    return (
      <PanelFrame {...props} root={root} screen="setup">
        <SetupScreen
          vault={state}
          trans={trans}
          onSetUp={async (custodian, passphrase) => {
            await vault.setUp(custodian, passphrase);
            navigation.go({ screen: 'list' });
          }}
          onLater={() => {
            setSetupLater(true);
            navigation.go({ screen: 'list' });
          }}
        />
      </PanelFrame>
    );
  }
  return (
    <PanelFrame {...props} root={root} screen={screen}>
      {!props.isFormOnly && <ListSide {...props} onSetUp={() => navigation.go({ screen: 'setup' })} />}
      <section className="jp-connvault-side">
        <Side {...props} place={place} />
      </section>
    </PanelFrame>
  );
}

interface PanelFrameProps extends PanelProps {
  root: RefObject<HTMLDivElement>;
  screen: Place['screen'];
  children: ReactNode;
}

function PanelFrame({ root, screen, isInline, isFormOnly, trans, children }: PanelFrameProps): JSX.Element {
  return (
    <div
      ref={root}
      className={`jp-connvault-panel ${isInline ? 'jp-mod-inline' : ''} ${isFormOnly ? 'jp-mod-formOnly' : ''}`}
      data-testid="connvault-panel"
      data-screen={screen}
      role="region"
      aria-label={trans.__('Connections')}
      onFocusCapture={suppressShortcuts}
    >
      <div className="jp-connvault-layout">{children}</div>
    </div>
  );
}

/** In an output, keys on a focused control would run the notebook's shortcuts ("b" adds a cell). */
export function suppressShortcuts(event: FocusEvent<HTMLElement>): void {
  event.target.setAttribute('data-lm-suppress-shortcuts', 'true');
}

/** After going somewhere the focus goes along, unless the new screen has put it somewhere already. */
function useScreenFocus(root: RefObject<HTMLDivElement>, screen: string): void {
  const before = useRef(screen);
  useEffect(() => {
    if (before.current === screen) {
      return;
    }
    before.current = screen;
    const node = root.current;
    if (node && document.activeElement === document.body) {
      const title = node.querySelector<HTMLElement>(
        screen === 'list' ? '[aria-current="true"], [data-testid="connvault-new"]' : '.jp-connvault-side .jp-connvault-title'
      );
      title?.focus();
    }
  }, [root, screen]);
}

function ListSide(props: PanelProps & { onSetUp: () => void }): JSX.Element {
  const { connvault, navigation, trans } = props;
  const { connections, questions } = connvault;
  const { place } = navigation;
  const state = connvault.vault.state;
  const waiting = questions.items.length;
  const named = place.screen === 'detail' || place.screen === 'edit' ? place.connectionId : '';
  const selected = connections.get(named)?.connection.id ?? null;

  return (
    <section className="jp-connvault-main" aria-label={trans.__('List')}>
      <header className="jp-connvault-header">
        <h2 className="jp-connvault-caption">{trans.__('Connections')}</h2>
        <button
          type="button"
          className="jp-connvault-button jp-mod-primary"
          data-testid="connvault-new"
          aria-label={trans.__('New connection')}
          onClick={() => navigation.go({ screen: 'picker' })}
        >
          <Icon name="plus" />
          {trans.__('New')}
        </button>
      </header>
      {waiting > 0 && (
        <div className="jp-connvault-ask" role="status" data-testid="connvault-question-banner">
          <Icon name="key" />
          <span className="jp-connvault-rowText">
            <b>{trans._n('%1 question waiting', '%1 questions waiting', waiting)}</b>
            <small>
              {trans.__(
                '%1 asks for %2',
                fileName(questions.items[0].question.requester.label),
                foreignText(questions.items[0].question.connection)
              )}
            </small>
          </span>
          <button
            type="button"
            className="jp-connvault-button jp-mod-link"
            data-testid="connvault-answer"
            onClick={props.onAnswer}
          >
            {trans.__('Answer')}
          </button>
        </div>
      )}
      {connections.trouble && (
        <Banner
          tone="err"
          icon="warn"
          testId="connvault-trouble"
          action={
            <button
              type="button"
              className="jp-connvault-button"
              onClick={() => {
                void connections.refresh();
                void connvault.vault.refresh();
              }}
            >
              {trans.__('Try again')}
            </button>
          }
        >
          {connections.trouble}
        </Banner>
      )}
      {connections.unreadable > 0 && (
        <Banner tone="warn" icon="warn">
          {trans._n(
            '%1 record could not be read and is not shown.',
            '%1 records could not be read and are not shown.',
            connections.unreadable
          )}
        </Banner>
      )}
      {connections.isReady && !connections.items.length && !connections.trouble ? (
        <div className="jp-connvault-scroll">
          <div className="jp-connvault-hello">
            <Icon name="plug" className="jp-mod-big" />
            <h3>{trans.__('No connections yet')}</h3>
            <p>{trans.__('Define one once. Notebooks then ask for it by name, and never see where its password is.')}</p>
            <button
              type="button"
              className="jp-connvault-button"
              data-testid="connvault-new-first"
              onClick={() => navigation.go({ screen: 'picker' })}
            >
              {trans.__('New connection')}
            </button>
          </div>
        </div>
      ) : (
        <ConnectionList
          items={connections.items}
          providers={connections.providers}
          vault={state?.state}
          selected={selected}
          trans={trans}
          onOpen={connectionId => navigation.go({ screen: 'detail', connectionId, tab: 'details' })}
          onNew={() => navigation.go({ screen: 'picker' })}
        />
      )}
      {state && <VaultFoot {...props} />}
    </section>
  );
}

function VaultFoot({ connvault, navigation, trans, onSetUp }: PanelProps & { onSetUp: () => void }): JSX.Element | null {
  const { vault } = connvault;
  const state = vault.state;
  if (!state) {
    return null;
  }
  const [text, action, testId, act] =
    state.state === 'unlocked'
      ? [
          trans.__('Unlocked · %1', custodianWord(state, trans)),
          trans.__('Lock'),
          'connvault-lock',
          () => void vault.lock().catch((error: unknown) => console.error(String(error)))
        ]
      : state.state === 'locked'
        ? [
            trans.__('Locked · %1', custodianWord(state, trans)),
            trans.__('Unlock'),
            'connvault-unlock-open',
            () => navigation.go({ screen: 'unlock' })
          ]
        : [trans.__('Secrets are not protected yet'), trans.__('Protect'), 'connvault-setup-open', onSetUp];
  return (
    <footer className={`jp-connvault-vault jp-mod-${state.state}`} data-testid="connvault-vault" data-state={state.state}>
      <Icon name={state.state === 'unlocked' ? 'unlock' : state.state === 'locked' ? 'lock' : 'shield'} />
      <span className="jp-connvault-grow">{text}</span>
      <button type="button" className="jp-connvault-button jp-mod-link" data-testid={testId} onClick={act}>
        {action}
      </button>
    </footer>
  );
}

function Side(props: PanelProps & { place: Place }): JSX.Element {
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
          trans={trans}
          onBack={toList}
          onPick={providerId => navigation.go({ screen: 'create', providerId, prefill: place.prefill })}
          onPaste={found => {
            pasted.current = found;
            navigation.go({ screen: 'create', providerId: found.providerId });
          }}
        />
      );
    case 'create':
    case 'edit':
      return (
        <FormSide
          key={place.screen === 'edit' ? place.connectionId : place.providerId}
          {...props}
          place={place}
          takePasted={() => {
            const found = pasted.current;
            pasted.current = null;
            return found;
          }}
        />
      );
    case 'unlock':
      return (
        <div className="jp-connvault-screen">
          <ScreenHeader title={trans.__('Unlock')} onBack={toList} trans={trans} />
          <div className="jp-connvault-scroll">
            {vault.state && (
              <UnlockForm
                vault={vault.state}
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
          vault={vault.state?.state}
          activity={connvault.activity}
          tab={place.tab}
          trans={trans}
          onTab={tab => navigation.go({ ...place, tab })}
          onBack={toList}
          onEdit={() => navigation.go({ screen: 'edit', connectionId: id })}
          onInsertCode={() => props.onInsertCode(id)}
          onTest={() => connections.test(id)}
          onReplace={async (field, value) => {
            await connections.setSecret(id, field, value);
          }}
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

type FormPlace = Extract<Place, { screen: 'create' | 'edit' }>;

function FormSide(props: PanelProps & { place: FormPlace; takePasted: () => Pasted | null }): JSX.Element {
  const { connvault, navigation, trans, place } = props;
  const { connections } = connvault;
  const existing = place.screen === 'edit' ? connections.get(place.connectionId) : undefined;
  const provider = connections.provider(place.screen === 'edit' ? (existing?.connection.provider_id ?? '') : place.providerId);
  // What is edited stays what it was when the form was opened; a change by somebody else is found out by its revision.
  const [opened] = useState(existing);
  const back = (): void =>
    navigation.go(
      place.screen === 'edit' ? { screen: 'detail', connectionId: place.connectionId, tab: 'details' } : { screen: 'list' }
    );

  if (!provider || (place.screen === 'edit' && !(opened ?? existing))) {
    return connections.isReady ? <Gone {...props} onBack={back} /> : <Waiting trans={trans} />;
  }
  const before = opened ?? existing;
  const save: ConnectionFormProps['onSave'] = async (draft: ConnectionDraft, andTest) => {
    const sent = before
      ? connections.update(before.connection.id, before.connection.revision ?? 1, draft)
      : connections.create({ provider_id: provider.id, ...draft });
    const saved = await sent;
    const { id, status } = saved.connection;
    navigation.go({ screen: 'detail', connectionId: id, tab: 'details' });
    if (andTest && status === 'ready') {
      // Its outcome is shown with the connection; that it was saved stands.
      connections.test(id).catch((error: unknown) => console.warn(String(error)));
    }
  };

  return (
    <section className="jp-connvault-screen" aria-label={trans.__('Connection form')}>
      <ScreenHeader
        title={before ? trans.__('Edit %1', before.connection.name) : trans.__('New %1 connection', provider.name)}
        onBack={back}
        trans={trans}
      />
      <Suspense fallback={<Waiting trans={trans} />}>
        <ConnectionForm
          provider={provider}
          existing={before}
          prefill={place.screen === 'create' ? place.prefill : undefined}
          takePasted={props.takePasted}
          takenNames={connections.items
            .filter(item => item.connection.id !== before?.connection.id)
            .map(item => item.connection.name)}
          notice={<VaultNotice {...props} />}
          trans={trans}
          onSave={save}
          onCancel={back}
        />
      </Suspense>
    </section>
  );
}

/** A secret can't be saved while the vault is not open: said before anything is typed. */
function VaultNotice({ connvault, navigation, trans }: PanelProps): JSX.Element | null {
  const { vault } = connvault;
  const state = vault.state;
  if (state?.state === 'locked') {
    return <UnlockForm vault={state} trans={trans} onUnlock={passphrase => vault.unlock(passphrase)} />;
  }
  if (state?.state === 'absent') {
    return (
      <Banner
        tone="warn"
        icon="shield"
        action={
          <button
            type="button"
            className="jp-connvault-button"
            data-testid="connvault-setup-open"
            onClick={() => navigation.go({ screen: 'setup' })}
          >
            {trans.__('Protect')}
          </button>
        }
      >
        {trans.__('Secrets are not protected yet, so only a draft without a password can be saved.')}
      </Banner>
    );
  }
  return null;
}

function Gone({ trans, onBack }: PanelProps & { onBack: () => void }): JSX.Element {
  return (
    <div className="jp-connvault-screen">
      <ScreenHeader title={trans.__('Not there')} onBack={onBack} trans={trans} />
      <p className="jp-connvault-empty" role="status">
        {trans.__('This does not exist (any more).')}
      </p>
    </div>
  );
}

function Waiting({ trans }: { trans: TranslationBundle }): JSX.Element {
  return (
    <p className="jp-connvault-empty" role="status">
      {trans.__('Loading …')}
    </p>
  );
}
