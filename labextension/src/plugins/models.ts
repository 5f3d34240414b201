/**
 * The plugin of the models, which gives other plugins the connections, the requests and the vault.
 */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ILabShell } from '@jupyterlab/application';

import { EventStream } from '../events';
import { ActivityModel } from '../models/activity';
import { ConnectionsModel } from '../models/connections';
import { openPaths } from '../models/openPaths';
import { QuestionsModel } from '../models/questions';
import { VaultModel } from '../models/vault';
import { WorkspacesModel } from '../models/workspaces';
import { RestApi } from '../restapi';
import { IConnvault } from '../tokens';

/** The models, and the stream of events that keeps them up to date. */
export const modelsPlugin: JupyterFrontEndPlugin<IConnvault> = {
  id: 'connvault-jupyter:models',
  description: 'Holds the connections, the waiting requests and the state of the vault.',
  autoStart: true,
  provides: IConnvault,
  optional: [ILabShell],
  activate: (app: JupyterFrontEnd, labShell: ILabShell | null): IConnvault => {
    const { serverSettings } = app.serviceManager;
    const api = new RestApi(serverSettings);
    const events = new EventStream(serverSettings);
    const connvault = {
      connections: new ConnectionsModel({ api, events }),
      // A suggestion expires, so it is fetched when it is looked at and not kept.
      proposals: { get: (id: string) => api.getProposal(id) },
      workspaces: new WorkspacesModel({ api, events, paths: () => openPaths(app) }),
      questions: new QuestionsModel({ api, events }),
      vault: new VaultModel({ api, events }),
      activity: new ActivityModel({ api, events })
    };
    // This does not wait for the layout: a question may be open already, with its time running.
    events.connect();
    // The models load when the stream opens; if it can't be opened, the panel should still say why.
    void connvault.connections.refresh();
    void connvault.vault.refresh();
    // Another document may be of another project.
    labShell?.currentChanged.connect(() => void connvault.workspaces.refresh());
    return connvault;
  }
};
