/**
 * The plugin of the consent dialog: which tab asks, and when.
 */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ILabShell } from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import type { Widget } from '@lumino/widgets';

import { ConsentDialog } from '../consent/ConsentDialog';
import { ConsentController } from '../consent/controller';
import { Presence } from '../consent/presence';
import { ownName } from '../foreignText';
import { CommandIDs, IConnvault, IConsentPrompt } from '../tokens';

/** Draws the questions. It is not loaded lazily, so that a question is drawn as soon as it is asked. */
export const consentPlugin: JupyterFrontEndPlugin<IConsentPrompt> = {
  id: 'connvault-jupyter:consent',
  description: 'Asks whether code may use a connection.',
  autoStart: true,
  requires: [IConnvault],
  optional: [ITranslator, ILabShell],
  provides: IConsentPrompt,
  activate: (
    app: JupyterFrontEnd,
    connvault: IConnvault,
    translator: ITranslator | null,
    labShell: ILabShell | null
  ): IConsentPrompt => {
    const trans = (translator ?? nullTranslator).load('connvault_jupyter');
    const { baseUrl } = app.serviceManager.serverSettings;
    const shows = (path: string): boolean => {
      for (const widget of app.shell.widgets('main')) {
        // A question names its notebook the way people see it.
        if (widget.isVisible && ownName(pathOf(app, widget)) === path) {
          return true;
        }
      }
      return false;
    };
    const channel = 'BroadcastChannel' in window ? new BroadcastChannel(`connvault-jupyter ${baseUrl}`) : null;
    const presence = new Presence({ shows, channel });
    const controller = new ConsentController({
      questions: connvault.questions,
      presence,
      drawer: () =>
        new ConsentDialog({
          trans,
          provider: id => connvault.connections.provider(id),
          decide: (question, decision) => connvault.questions.decide(question, decision)
        })
    });

    labShell?.currentChanged.connect(() => {
      controller.lookAgain();
      presence.tell();
    });
    window.addEventListener('pagehide', () => presence.leave());
    window.addEventListener('pageshow', () => presence.comeBack());

    let refused = 0;
    connvault.questions.changed.connect(({ refused: now }) => {
      if (now > refused) {
        refused = now;
        Notification.warning(
          trans.__('A request for a connection could not be read, so it was denied. Reload the page, then run the cell again.'),
          { autoClose: false }
        );
      }
    });

    app.commands.addCommand(CommandIDs.answer, {
      label: trans.__('Answer Waiting Requests'),
      isEnabled: () => connvault.questions.items.length > 0,
      execute: () => controller.answer()
    });
    connvault.questions.changed.connect(() => app.commands.notifyCommandChanged(CommandIDs.answer));
    return controller;
  }
};

/** Returns the path of a document's widget below the server's root; `''` for any other widget. */
function pathOf(app: JupyterFrontEnd, widget: Widget): string {
  const { context } = widget as { context?: { path?: unknown } };
  return typeof context?.path === 'string' ? app.serviceManager.contents.localPath(context.path) : '';
}
