/**
 * Renders the two MIME types of the notebook side. This is safe in an untrusted notebook too: text only, and buttons
 * that can only open a screen.
 */
import type { TranslationBundle } from '@jupyterlab/translation';
import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';
import { Widget } from '@lumino/widgets';
import type { Root } from 'react-dom/client';
import { createRoot } from 'react-dom/client';

import type { IConnections } from '../tokens';
import { FixItCard, HandleCard } from './cards';
import { FIXIT_MIME, HANDLE_MIME, readFixIt, readHandle } from './payload';

interface CardOptions {
  trans: TranslationBundle;
  connections: IConnections;
  open: (args: ReadonlyPartialJSONObject) => void;
}

class RenderedCard extends Widget implements IRenderMime.IRenderer {
  constructor(
    private readonly mimeType: string,
    private readonly options: CardOptions
  ) {
    super();
    this.addClass('jp-connvault-output');
    options.connections.changed.connect(this.draw, this);
  }

  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    this._data = model.data[this.mimeType];
    this.draw();
  }

  override dispose(): void {
    if (this.isDisposed) {
      return;
    }
    this.options.connections.changed.disconnect(this.draw, this);
    const root = this._root;
    window.setTimeout(() => root?.unmount(), 0);
    super.dispose();
  }

  private draw(): void {
    const card = this.card();
    if (!card) {
      if (this._data !== undefined) {
        this.node.textContent = this.options.trans.__('This card could not be read.');
      }
      return;
    }
    this._root ??= createRoot(this.node);
    this._root.render(card);
  }

  private card(): JSX.Element | null {
    const { trans, connections, open } = this.options;
    if (this.mimeType === HANDLE_MIME) {
      const handle = readHandle(this._data);
      const known = handle && connections.get(handle.name);
      const provider = known
        ? connections.provider(known.connection.provider_id)
        : connections.providers.find(item => item.name === handle?.kind);
      return handle && <HandleCard handle={handle} provider={provider} trans={trans} />;
    }
    const fixIt = readFixIt(this._data);
    // The error line stays in the notebook file, for viewers without cards; beside the card it would repeat everything.
    this.toggleClass('jp-mod-instead', fixIt?.instead ?? false);
    return fixIt && <FixItCard fixIt={fixIt} trans={trans} onAct={action => open(action.args)} />;
  }

  private _data: unknown;
  private _root: Root | null = null;
}

/** Ranks before JSON, HTML and plain text, which the same bundle contains for other front ends. */
export const CARD_RANK = 0;

export function cardFactory(options: CardOptions): IRenderMime.IRendererFactory {
  return {
    safe: true,
    mimeTypes: [FIXIT_MIME, HANDLE_MIME],
    defaultRank: CARD_RANK,
    createRenderer: ({ mimeType }) => new RenderedCard(mimeType, options)
  };
}
