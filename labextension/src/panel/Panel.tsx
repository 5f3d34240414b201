/**
 * The panel: one component for the side bar, the main area and a notebook's output.
 *
 * The list and the screen beside it are both drawn; a container query shows both where there is room, else the one that
 * `data-screen` names.
 */
import type { FocusEvent, ReactNode, RefObject } from 'react';
import { useEffect, useRef, useState } from 'react';

import type { Place } from '../models/navigation';
import { useChanged } from './hooks';
import { ListSide } from './ListSide';
import type { PanelProps } from './panelProps';
import { Side } from './Side';
import { SetupScreen } from './VaultScreens';

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
