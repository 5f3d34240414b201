/**
 * The widgets of the notebook side. Their views are the same panel and form, which talk directly to the server.
 *
 * A model's state is saved in the notebook, so anybody may have written it: it names things that exist (a connection, a
 * kind, a suggestion that the broker knows), and no value of a form is taken from it.
 */
import type { WidgetModel, WidgetView } from '@jupyter-widgets/base';
import { DOMWidgetModel, DOMWidgetView } from '@jupyter-widgets/base';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { Root } from 'react-dom/client';
import { createRoot } from 'react-dom/client';

import type { Screen } from '../models/navigation';
import { connectionOf, Navigation } from '../models/navigation';
import { isProposalId } from '../models/openArgs';
import { Panel } from '../panel/Panel';
import type { IConnvault } from '../tokens';
import { MODULE_NAME, MODULE_VERSION } from './module';

interface WidgetServices {
  connvault: IConnvault;
  trans: TranslationBundle;
  insertCode: (connectionId: string) => void;
  answer: () => void;
}

const DEFAULTS = {
  _model_module: MODULE_NAME,
  _model_module_version: MODULE_VERSION,
  _view_module: MODULE_NAME,
  _view_module_version: MODULE_VERSION
};

class ConnectionsPanelModel extends DOMWidgetModel {
  override defaults(): { [name: string]: unknown } {
    return {
      ...super.defaults(),
      ...DEFAULTS,
      _model_name: 'ConnectionsPanelModel',
      _view_name: 'ConnectionsPanelView',
      selected: ''
    };
  }
}

class ConnectionFormModel extends DOMWidgetModel {
  override defaults(): { [name: string]: unknown } {
    return {
      ...super.defaults(),
      ...DEFAULTS,
      _model_name: 'ConnectionFormModel',
      _view_name: 'ConnectionFormView',
      provider: '',
      proposal: '',
      state: 'open',
      connection: ''
    };
  }
}

/** Returns the classes, bound to the services of this page. */
export function widgetClasses(services: WidgetServices): { [name: string]: typeof WidgetModel | typeof WidgetView } {
  const { connvault, trans } = services;

  abstract class PanelView extends DOMWidgetView {
    protected readonly navigation = new Navigation();
    protected readonly isFormOnly: boolean = false;
    private _panel: Root | null = null;

    override render(): void {
      super.render();
      this.el.classList.add('jp-connvault-widget');
      this.navigation.go(this.screenOfModel());
      this.navigation.changed.connect(this.onMoved, this);
      this._panel = createRoot(this.el);
      this._panel.render(
        <Panel
          connvault={connvault}
          navigation={this.navigation}
          trans={trans}
          isInline
          isFormOnly={this.isFormOnly}
          onInsertCode={services.insertCode}
          onAnswer={services.answer}
        />
      );
    }

    override remove(): unknown {
      this.navigation.changed.disconnect(this.onMoved, this);
      const panel = this._panel;
      this._panel = null;
      window.setTimeout(() => panel?.unmount(), 0);
      return super.remove();
    }

    protected abstract screenOfModel(): Screen;
    protected abstract onMoved(): void;
  }

  class ConnectionsPanelView extends PanelView {
    override render(): void {
      super.render();
      this.listenTo(this.model, 'change:selected', () => {
        if (this.model.get('selected') !== this.selected()) {
          this.navigation.go(this.screenOfModel());
        }
      });
    }

    protected screenOfModel(): Screen {
      const name = String(this.model.get('selected') ?? '');
      return name ? { name: 'detail', connectionId: name, tab: 'details' } : { name: 'list' };
    }

    protected onMoved(): void {
      const selected = this.selected();
      if (selected !== this.model.get('selected')) {
        this.model.set('selected', selected);
        this.touch();
      }
    }

    private selected(): string {
      const id = connectionOf(this.navigation.screen);
      return id ? (connvault.connections.get(id)?.connection.name ?? id) : '';
    }
  }

  class ConnectionFormView extends PanelView {
    protected override readonly isFormOnly = true;

    protected screenOfModel(): Screen {
      const saved = String(this.model.get('connection') ?? '');
      if (this.model.get('state') === 'saved' && saved) {
        return { name: 'detail', connectionId: saved, tab: 'details' };
      }
      const providerId = String(this.model.get('provider') ?? '');
      const id: unknown = this.model.get('proposal');
      if (isProposalId(id)) {
        return { name: 'proposal', id, providerId };
      }
      return providerId ? { name: 'create', providerId } : { name: 'picker' };
    }

    protected onMoved(): void {
      const { screen } = this.navigation;
      if (this.model.get('state') !== 'open') {
        return;
      }
      if (screen.name === 'detail') {
        const name = connvault.connections.get(screen.connectionId)?.connection.name ?? '';
        this.model.set({ state: 'saved', connection: name });
        this.touch();
      } else if (screen.name === 'list') {
        this.model.set('state', 'cancelled');
        this.touch();
      }
    }
  }

  return { ConnectionsPanelModel, ConnectionsPanelView, ConnectionFormModel, ConnectionFormView };
}
