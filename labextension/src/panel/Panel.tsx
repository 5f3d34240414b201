/**
 * The panel: one component for the side bar, the main area and a notebook's output.
 *
 * The list and the screen beside it are both drawn; a container query shows both if there is room, otherwise only the
 * one that `data-screen` names.
 */
import type { ReactNode, RefObject } from 'react';
import { useEffect, useRef, useState } from 'react';

import type { Navigation, Screen } from '../models/navigation';
import { connectionOf } from '../models/navigation';
import { suppressShortcuts } from '../ui/outputKeys';
import { DetailPane } from './DetailPane';
import { useChanged } from './hooks';
import { ListPane } from './ListPane';
import type { PanelProps } from './panelProps';
import { SetupScreen } from './VaultScreens';

export function Panel(props: PanelProps): JSX.Element {
  const { connvault, navigation, trans } = props;
  const { connections, vault, questions } = connvault;
  useChanged(connections.changed);
  useChanged(vault.changed);
  useChanged(questions.changed);
  useChanged(connvault.workspaces.changed);
  useChanged(navigation.changed);
  const root = useRef<HTMLDivElement>(null);
  const [setupLater, setSetupLater] = useState(false);
  const { screen } = navigation;

  const state = vault.state;
  const needsSetup = screen.name === 'setup' || (state?.state === 'absent' && !setupLater && screen.name === 'list' && !props.isFormOnly);
  const shown = needsSetup ? 'setup' : screen.name;
  useScreenFocus(root, navigation, shown);

  if (needsSetup && state) {
    return (
      <PanelFrame {...props} root={root} shown="setup">
        <SetupScreen
          vault={state}
          seals={vault.seals}
          trans={trans}
          onSetUp={async (custodian, passphrase) => {
            await vault.setUp(custodian, passphrase);
            navigation.go({ name: 'list' });
          }}
          onLater={() => {
            setSetupLater(true);
            navigation.go({ name: 'list' });
          }}
        />
      </PanelFrame>
    );
  }
  return (
    <PanelFrame {...props} root={root} shown={shown}>
      {!props.isFormOnly && <ListPane {...props} onSetUp={() => navigation.go({ name: 'setup' })} />}
      <section className="jp-connvault-side">
        <DetailPane {...props} screen={screen} />
      </section>
    </PanelFrame>
  );
}

interface PanelFrameProps extends PanelProps {
  root: RefObject<HTMLDivElement>;
  shown: Screen['name'];
  children: ReactNode;
}

function PanelFrame({ root, shown, isInline, isFormOnly, trans, children }: PanelFrameProps): JSX.Element {
  return (
    <div
      ref={root}
      className={`jp-connvault-panel ${isInline ? 'jp-mod-inline' : ''} ${isFormOnly ? 'jp-mod-formOnly' : ''}`}
      data-testid="connvault-panel"
      data-screen={shown}
      role="region"
      aria-label={trans.__('Connections')}
      onFocusCapture={suppressShortcuts}
    >
      <div className="jp-connvault-layout">{children}</div>
    </div>
  );
}

/** Moves the focus to a new screen, unless the screen has already placed it somewhere. */
function useScreenFocus(root: RefObject<HTMLDivElement>, navigation: Navigation, shown: string): void {
  // The first screen shown may differ from the navigation's: a vault is set up before anything else.
  const before = useRef({ shown, screen: navigation.screen });
  useEffect(() => {
    const node = root.current;
    const from = before.current;
    const isMoved = from.shown !== shown;
    before.current = { shown, screen: navigation.screen };
    if (!node) {
      return;
    }
    const focused = document.activeElement;
    const isLost = !focused || focused === document.body || focused.getClientRects().length === 0;
    // A dialog is about something more urgent.
    const isWanted = navigation.takeFocus() && !node.contains(focused) && !focused?.closest('dialog, [role="dialog"]');
    if (isWanted || (isMoved && isLost)) {
      landing(node, shown, from.screen)?.focus();
    }
  });
}

/** Returns where the focus lands: in the first field, on a connection's name, or on the list's row that was left. */
function landing(node: HTMLElement, shown: string, from: Screen): HTMLElement | null {
  const find = (selector: string): HTMLElement | null => node.querySelector<HTMLElement>(selector);
  switch (shown) {
    case 'list': {
      const left = connectionOf(from);
      // Compared rather than selected: a link may have named what was left, and could put anything into a selector.
      const rows = [...node.querySelectorAll<HTMLElement>('[data-connection]')];
      return rows.find(row => left !== '' && row.dataset.connection === left) ?? find('[data-testid="connvault-new"]');
    }
    case 'detail':
      return find('.jp-connvault-side .jp-connvault-title');
    case 'setup':
      return find('input') ?? find('[data-testid="connvault-setup-submit"]');
    default:
      return find('.jp-connvault-side input') ?? find('.jp-connvault-side .jp-connvault-title');
  }
}
