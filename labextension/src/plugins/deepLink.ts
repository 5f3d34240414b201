/**
 * The plugin for links into the panel.
 */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';

import { isProposalId } from '../models/openArgs';
import { CommandIDs, IConnvault } from '../tokens';

/**
 * Opens the panel from the page's address: `?connvault=<id of a connection or a suggestion | new>`. It also marks the
 * page as ready once all plugins are active.
 */
export const deepLinkPlugin: JupyterFrontEndPlugin<void> = {
  id: 'connvault-jupyter:deep-link',
  description: 'Opens the panel from a link.',
  autoStart: true,
  requires: [IConnvault],
  activate: (app: JupyterFrontEnd): void => {
    const wanted = new URLSearchParams(window.location.search).get('connvault');
    void app.restored.then(async () => {
      // Browser tests wait for this.
      document.body.dataset.connvaultReady = 'true';
      if (wanted === null) {
        return;
      }
      const args = wanted === 'new' ? { new: true } : isProposalId(wanted) ? { proposal: wanted } : { connectionId: wanted };
      await app.commands.execute(CommandIDs.open, args);
      // A reload should not open it again.
      const url = new URL(window.location.href);
      url.searchParams.delete('connvault');
      window.history.replaceState(window.history.state, '', url);
    });
  }
};
