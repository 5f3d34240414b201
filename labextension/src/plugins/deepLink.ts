import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';

import { CommandIDs, IConnvault } from '../tokens';

/** The page's address can open the panel: `?connvault=<connection id | new>`. It also says that all plugins are active. */
export const deepLinkPlugin: JupyterFrontEndPlugin<void> = {
  id: 'connvault-jupyter:deep-link',
  description: 'Opens the panel from a link.',
  autoStart: true,
  requires: [IConnvault],
  activate: (app: JupyterFrontEnd): void => {
    const wanted = new URLSearchParams(window.location.search).get('connvault');
    void app.restored.then(async () => {
      // Browser tests wait for it.
      document.body.dataset.connvaultReady = 'true';
      if (wanted === null) {
        return;
      }
      await app.commands.execute(CommandIDs.open, wanted === 'new' ? { new: true } : { connectionId: wanted });
      // A reload should not open it again.
      const url = new URL(window.location.href);
      url.searchParams.delete('connvault');
      window.history.replaceState(window.history.state, '', url);
    });
  }
};
