/**
 * The modal dialog that shows a question. It is a native one: it is above everything on the page, including the dialogs
 * of JupyterLab (which would queue it behind them), and nothing behind it gets focus, keys or clicks.
 *
 * It is not a security boundary against code that runs in the page; see SECURITY.md.
 */
import type { TranslationBundle } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';
import type { Message } from '@lumino/messaging';
import { flushSync } from 'react-dom';
import type { Root } from 'react-dom/client';
import { createRoot } from 'react-dom/client';

import type { DecisionKind, Duration, ProviderDefinition, Question } from '../contracts';
import { messageOf } from '../errors';
import type { IOpenQuestion } from '../tokens';
import { ConsentView } from './ConsentView';
import { remainingSeconds, TICK_MS } from './Countdown';
import { isMove, KeyGuard } from './keyGuard';

interface ConsentDialogOptions {
  trans: TranslationBundle;
  provider: (id: string) => ProviderDefinition | undefined;
  /** Sends the answer. Resolves to `'changed'` if another question has taken its place since. */
  decide: (question: Question, decision: DecisionKind) => Promise<'decided' | 'changed' | 'gone'>;
  now?: () => number;
}

let dialogs = 0;

export class ConsentDialog extends Widget {
  constructor(private readonly options: ConsentDialogOptions) {
    super({ node: document.createElement('dialog') });
    this._now = options.now ?? (() => performance.now());
    this._guard = new KeyGuard(this._now);
    this._idPrefix = `jp-connvault-consent-${dialogs++}`;
    this.addClass('jp-connvault-consent');
    this.node.setAttribute('role', 'alertdialog');
    this.node.setAttribute('aria-modal', 'true');
    this.node.setAttribute('aria-labelledby', `${this._idPrefix}-title`);
    this.node.setAttribute('aria-describedby', `${this._idPrefix}-body`);
    this._root = createRoot(this.node);
  }

  /** Shows these questions; an empty list closes the dialog. */
  ask(items: readonly IOpenQuestion[]): void {
    this._items = items;
    if (!items.length) {
      this.shut();
      return;
    }
    const at = items.findIndex(item => item.question.id === this._currentId);
    this._index = at >= 0 ? at : Math.min(this._index, items.length - 1);
    this.draw();
    if (!this.isAttached) {
      this._focusBefore = document.activeElement;
      Widget.attach(this, document.body);
    }
  }

  get dialog(): HTMLDialogElement {
    return this.node as HTMLDialogElement;
  }

  override dispose(): void {
    if (this.isDisposed) {
      return;
    }
    this.shut();
    // React refuses to unmount while it is rendering.
    const root = this._root;
    window.setTimeout(() => root.unmount(), 0);
    super.dispose();
  }

  handleEvent(event: Event): void {
    switch (event.type) {
      case 'keydown':
        this.onKey(event as KeyboardEvent);
        break;
      case 'keyup':
      case 'keypress':
        // The space bar clicks a button on keyup.
        event.stopImmediatePropagation();
        if ((event as KeyboardEvent).key === ' ' && document.activeElement instanceof HTMLButtonElement) {
          event.preventDefault();
        }
        break;
      case 'focus':
      case 'mousedown':
        // A JupyterLab dialog underneath would take the focus back.
        if (event.target instanceof Node && this.node.contains(event.target)) {
          event.stopImmediatePropagation();
        }
        break;
      case 'cancel':
        event.preventDefault();
        break;
      case 'close':
        // Closed by the browser (by a back gesture, for example), which is not an answer.
        if (this.isAttached && this._items.length) {
          this.open();
        }
        break;
    }
  }

  protected override onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    for (const type of WINDOW_EVENTS) {
      window.addEventListener(type, this, true);
    }
    this.node.addEventListener('cancel', this);
    this.node.addEventListener('close', this);
    this._timer = window.setInterval(() => this.render(), TICK_MS);
    this.open();
  }

  protected override onBeforeDetach(message: Message): void {
    for (const type of WINDOW_EVENTS) {
      window.removeEventListener(type, this, true);
    }
    this.node.removeEventListener('cancel', this);
    this.node.removeEventListener('close', this);
    window.clearInterval(this._timer);
    super.onBeforeDetach(message);
  }

  private open(): void {
    this.dialog.showModal();
    this._guard.drawn();
    this.focusDeny();
  }

  private shut(): void {
    this._currentId = '';
    this._currentDigest = '';
    this._notice = '';
    this._index = 0;
    if (!this.isAttached) {
      return;
    }
    this._items = [];
    this.dialog.close();
    Widget.detach(this);
    const before = this._focusBefore;
    this._focusBefore = null;
    if (before instanceof HTMLElement && before.isConnected && document.activeElement === document.body) {
      before.focus();
    }
  }

  /** Draws the current question; a new one starts with a fresh guard and the focus on Deny. */
  private draw(): void {
    const question = this.current?.question;
    if (!question) {
      return;
    }
    const isNew = question.id !== this._currentId || question.digest !== this._currentDigest;
    if (isNew) {
      if (question.id !== this._currentId) {
        this._notice = '';
      }
      this._currentId = question.id;
      this._currentDigest = question.digest;
      this._duration = question.preselected ?? question.durations[0] ?? null;
      this._isBusy = false;
    }
    this.render();
    if (isNew && this.isAttached) {
      this._guard.drawn();
      this.render();
      this.focusDeny();
    }
  }

  private render(): void {
    const current = this.current;
    flushSync(() =>
      this._root.render(
        <ConsentView
          items={this._items}
          index={this._index}
          duration={this._duration}
          remainingS={current ? remainingSeconds(current.endsAt, this._now()) : 0}
          isSettled={this._guard.isSettled}
          isBusy={this._isBusy}
          notice={this._notice}
          provider={current && this.options.provider(current.question.provider_id)}
          idPrefix={this._idPrefix}
          trans={this.options.trans}
          onDuration={duration => {
            this._duration = duration;
            this.renderSoon();
          }}
          onMove={step => this.move(step)}
          onDecide={decision => void this.decide(decision)}
        />
      )
    );
  }

  /** Renders soon, because nothing can be rendered synchronously inside React's own event handling. */
  private renderSoon(): void {
    queueMicrotask(() => !this.isDisposed && this.render());
  }

  private move(step: -1 | 1): void {
    this._index = Math.max(0, Math.min(this._items.length - 1, this._index + step));
    queueMicrotask(() => !this.isDisposed && this.draw());
  }

  private async decide(decision: DecisionKind): Promise<void> {
    const question = this.current?.question;
    if (!question || this._isBusy) {
      return;
    }
    this._isBusy = true;
    this._notice = '';
    this.renderSoon();
    const { trans } = this.options;
    try {
      const outcome = await this.options.decide(question, decision);
      if (outcome === 'changed') {
        this._notice = trans.__('The request changed after it was shown. Review it again.');
      }
    } catch (error) {
      this._notice = messageOf(error);
    }
    this._isBusy = false;
    if (!this.isDisposed && this.isAttached) {
      this.render();
    }
  }

  private onKey(event: KeyboardEvent): void {
    // While a question is open, the page behind it gets no keys.
    event.stopImmediatePropagation();
    const counts = this._guard.accepts(event);
    const { key } = event;
    const decides = key === 'Enter' || key === ' ' || key === 'Escape';
    if (!decides && (event.ctrlKey || event.metaKey || /^F\d+$/.test(key))) {
      // A shortcut of the browser (reload, copy, zoom).
      return;
    }
    const focused = document.activeElement;
    const isRadio = focused instanceof HTMLInputElement && focused.type === 'radio';
    if (counts && (isMove(key) || (key === ' ' && isRadio))) {
      if (key === 'Tab') {
        this.wrapTab(event);
      }
      return;
    }
    event.preventDefault();
    if (!counts || !decides) {
      return;
    }
    const act = key === 'Escape' ? 'deny' : this.actOf(focused);
    switch (act) {
      case 'allow':
        if ((this.current?.endsAt ?? 0) > this._now()) {
          void this.decide(this._duration ?? 'once');
        }
        break;
      case 'deny_always':
        void this.decide('deny_always');
        break;
      case 'previous':
        this.move(-1);
        break;
      case 'next':
        this.move(1);
        break;
      default:
        void this.decide('deny');
    }
  }

  /** Returns what Enter does on the focused element. Only a button that the focus was moved to can allow. */
  private actOf(focused: Element | null): string {
    return (focused instanceof HTMLElement && this.node.contains(focused) && focused.dataset.act) || 'deny';
  }

  /** Keeps Tab inside the dialog; otherwise the browser's own bars come between the last control and the first. */
  private wrapTab(event: KeyboardEvent): void {
    const stops = [...this.node.querySelectorAll<HTMLElement>('button:not(:disabled), input:checked')];
    const [from, to] = event.shiftKey ? [stops[0], stops[stops.length - 1]] : [stops[stops.length - 1], stops[0]];
    if (document.activeElement === from || !this.node.contains(document.activeElement)) {
      event.preventDefault();
      to.focus();
    }
  }

  private focusDeny(): void {
    this.node.querySelector<HTMLElement>('[data-first]')?.focus();
  }

  private get current(): IOpenQuestion | undefined {
    return this._items[this._index];
  }

  private readonly _now: () => number;
  private readonly _guard: KeyGuard;
  private readonly _root: Root;
  private readonly _idPrefix: string;
  private _items: readonly IOpenQuestion[] = [];
  private _index = 0;
  private _currentId = '';
  private _currentDigest = '';
  private _duration: Duration | null = null;
  private _isBusy = false;
  private _notice = '';
  private _timer = 0;
  private _focusBefore: Element | null = null;
}

const WINDOW_EVENTS = ['keydown', 'keyup', 'keypress', 'focus', 'mousedown'] as const;
