/**
 * The plugin of the cards in a notebook's output.
 */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { CARD_RANK, cardFactory } from '../fixit/renderer';
import { CommandIDs, IConnvault } from '../tokens';

/** Renders cards under cells: what to do about an error, and what a handle is. */
export const fixItPlugin: JupyterFrontEndPlugin<void> = {
  id: 'connvault-jupyter:fixit',
  description: 'Renders handles, and cards that tell you what to do after an error.',
  autoStart: true,
  requires: [IConnvault, IRenderMimeRegistry],
  optional: [ITranslator],
  activate: (
    app: JupyterFrontEnd,
    connvault: IConnvault,
    rendermime: IRenderMimeRegistry,
    translator: ITranslator | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('connvault_jupyter');
    rendermime.addFactory(
      cardFactory({
        trans,
        connections: connvault.connections,
        open: args => {
          app.commands.execute(CommandIDs.open, args).catch((error: unknown) => console.error(String(error)));
        }
      }),
      CARD_RANK
    );
  }
};
