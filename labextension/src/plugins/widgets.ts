/**
 * The plugin of the widgets in a cell.
 */
import { IJupyterWidgetRegistry } from '@jupyter-widgets/base';
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { CommandIDs, IConnvault } from '../tokens';
import { MODULE_NAME, MODULE_VERSION } from '../widgets/module';

/** Registers the widgets; their views are loaded with the first one. */
export const widgetsPlugin: JupyterFrontEndPlugin<void> = {
  id: 'connvault-jupyter:widgets',
  description: 'Shows the panel and the form as widgets in a cell.',
  autoStart: true,
  requires: [IConnvault],
  optional: [IJupyterWidgetRegistry, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    connvault: IConnvault,
    registry: IJupyterWidgetRegistry | null,
    translator: ITranslator | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('connvault_jupyter');
    const run = (command: string, connectionId?: string): void => {
      app.commands.execute(command, { connectionId }).catch((error: unknown) => console.error(String(error)));
    };
    registry?.registerWidget({
      name: MODULE_NAME,
      version: MODULE_VERSION,
      exports: async () => {
        const { widgetClasses } = await import('../widgets/views');
        return widgetClasses({
          connvault,
          trans,
          insertCode: connectionId => run(CommandIDs.insertCode, connectionId),
          answer: () => run(CommandIDs.answer)
        });
      }
    });
  }
};
