/**
 * The plugin of the panel: the side bar, the commands, and the cell that uses a connection.
 */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ILabShell, ILayoutRestorer } from '@jupyterlab/application';
import { CommandToolbarButton, ICommandPalette, MainAreaWidget, Notification, ReactWidget } from '@jupyterlab/apputils';
import { PageConfig } from '@jupyterlab/coreutils';
import type { NotebookPanel } from '@jupyterlab/notebook';
import { INotebookTracker, NotebookActions } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';
import type { Widget } from '@lumino/widgets';
import { lazy, Suspense } from 'react';

import { exposureOf } from '../models/exposure';
import { insertBelowIndex, insertedSource } from '../models/insertion';
import { Navigation } from '../models/navigation';
import { screenOf } from '../models/openArgs';
import { CommandIDs, IConnvault } from '../tokens';
import { connectionsIcon } from '../ui/icons';

const Panel = lazy(async () => ({ default: (await import('../panel/Panel')).Panel }));

// After JupyterLab's own panels (files 100, running 200, table of contents 400) and before extensions (1000).
const SIDE_BAR_RANK = 500;

/** Adds the side bar, its commands, and the code that uses a connection. */
export const panelPlugin: JupyterFrontEndPlugin<void> = {
  id: 'connvault-jupyter:panel',
  description: 'Adds the Connections panel to the side bar.',
  autoStart: true,
  requires: [IConnvault],
  optional: [ITranslator, ICommandPalette, ILayoutRestorer, INotebookTracker, ILabShell],
  activate: (
    app: JupyterFrontEnd,
    connvault: IConnvault,
    translator: ITranslator | null,
    palette: ICommandPalette | null,
    restorer: ILayoutRestorer | null,
    notebooks: INotebookTracker | null,
    labShell: ILabShell | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('connvault_jupyter');
    const { commands, shell } = app;
    const navigation = new Navigation();
    const run = (command: string, args?: ReadonlyPartialJSONObject): void => {
      commands.execute(command, args).catch((error: unknown) => console.error(String(error)));
    };

    const make = (navigation: Navigation): ReactWidget => {
      const widget = new PanelWidget(
        navigation,
        <Suspense fallback={null}>
          <Panel
            connvault={connvault}
            navigation={navigation}
            trans={trans}
            exposure={exposureOf(PageConfig.getOption('connvault'))}
            onInsertCode={connectionId => run(CommandIDs.insertCode, { connectionId })}
            onAnswer={() => run(CommandIDs.answer)}
          />
        </Suspense>
      );
      widget.addClass('jp-connvault-host');
      return widget;
    };

    const panel = make(navigation);
    panel.id = 'connvault-connections';
    panel.title.icon = connectionsIcon;
    showWaiting(panel, connvault, trans);
    connvault.questions.changed.connect(() => showWaiting(panel, connvault, trans));
    shell.add(panel, 'left', { rank: SIDE_BAR_RANK, type: 'Connections' });
    restorer?.add(panel, 'connvault-connections');

    commands.addCommand(CommandIDs.open, {
      label: args => (args.new ? trans.__('New Connection…') : trans.__('Show Connections')),
      icon: connectionsIcon,
      describedBy: { args: OPEN_ARGS },
      execute: async args => {
        shell.activateById(panel.id);
        if (args.screen === 'questions') {
          run(CommandIDs.answer);
        }
        if (!connvault.connections.isReady) {
          await connvault.connections.refresh();
        }
        if (typeof args.screen === 'string') {
          // A card may refer to a state that this page has not heard of yet.
          await connvault.vault.refresh();
        }
        const screen = screenOf(args, connvault);
        if (screen) {
          navigation.go(screen);
        }
        // Not before the command palette has returned the focus to the notebook in front.
        requestAnimationFrame(() => requestAnimationFrame(() => navigation.focus()));
      }
    });
    commands.addCommand(CommandIDs.openTab, {
      label: trans.__('Show Connections in a Tab'),
      icon: connectionsIcon,
      execute: () => {
        const tab = new MainAreaWidget({ content: make(new Navigation(navigation.screen)) });
        tab.title.label = trans.__('Connections');
        tab.title.icon = connectionsIcon;
        shell.add(tab, 'main', { type: 'Connections' });
        shell.activateById(tab.id);
      }
    });
    commands.addCommand(CommandIDs.insertCode, {
      label: trans.__('Insert Code That Uses the Connection'),
      describedBy: { args: INSERT_ARGS },
      execute: args => {
        const view = connvault.connections.get(String(args.connectionId ?? ''));
        const snippet = view && connvault.connections.provider(view.connection.provider_id)?.snippet;
        const notebook = notebooks?.currentWidget;
        if (!view || !snippet) {
          return;
        }
        if (!notebook) {
          Notification.warning(trans.__('Open a notebook first, then insert the code.'), { autoClose: 5000 });
          return;
        }
        const { content } = notebook;
        const cells = content.widgets.map(({ model }) => ({
          isCode: model.type === 'code',
          source: model.sharedModel.getSource()
        }));
        content.activeCellIndex = insertBelowIndex(cells, content.activeCellIndex);
        NotebookActions.insertBelow(content);
        const code = snippet.replaceAll('{name}', view.connection.name);
        content.activeCell?.model.sharedModel.setSource(insertedSource(cells, code));
        shell.activateById(notebook.id);
        content.activate();
      }
    });
    if (!labShell) {
      // Notebook 7 hides its side bars until one is asked for, so a button in the notebook's toolbar leads there.
      app.docRegistry.addWidgetExtension('Notebook', {
        createNew: panel => {
          const { toolbar } = panel as NotebookPanel;
          const button = new CommandToolbarButton({ commands, id: CommandIDs.open, label: trans.__('Connections') });
          toolbar.insertBefore('kernelName', 'connvault', button);
          if (!button.parent) {
            toolbar.addItem('connvault', button);
          }
          return button;
        }
      });
    }
    const category = trans.__('Connections');
    palette?.addItem({ command: CommandIDs.open, category });
    palette?.addItem({ command: CommandIDs.open, args: { new: true }, category });
    palette?.addItem({ command: CommandIDs.openTab, category });
  }
};

/** Takes the focus when it is activated, as JupyterLab's own panels do. */
class PanelWidget extends ReactWidget {
  constructor(
    private readonly navigation: Navigation,
    private readonly content: JSX.Element
  ) {
    super();
  }

  protected override render(): JSX.Element {
    return this.content;
  }

  protected override onActivateRequest(): void {
    this.navigation.focus();
  }
}

const OPEN_ARGS = {
  type: 'object',
  properties: {
    connectionId: { type: 'string', description: 'Id of the connection to show' },
    name: { type: 'string', description: 'Name of the connection to show' },
    new: { description: 'Kind of the new connection, or true to choose one; its form is empty' },
    proposal: { type: 'string', description: 'Id of a suggestion for a new connection' },
    screen: { type: 'string', enum: ['unlock', 'setup', 'questions', 'secret', 'edit'] },
    tab: { type: 'string', enum: ['details', 'grants', 'activity'] }
  }
} as const;

const INSERT_ARGS = {
  type: 'object',
  properties: { connectionId: { type: 'string', description: 'Id or name of the connection' } },
  required: ['connectionId']
} as const;

/** Shows how many questions wait: a dot on the side bar, and words in its title. */
function showWaiting(panel: Widget, connvault: IConnvault, trans: TranslationBundle): void {
  const waiting = connvault.questions.items.length;
  panel.title.className = waiting ? 'jp-connvault-asks' : '';
  panel.title.caption = waiting
    ? trans._n('Connections: %1 request waiting', 'Connections: %1 requests waiting', waiting)
    : trans.__('Connections');
}
