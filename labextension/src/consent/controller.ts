/**
 * Decides which questions are drawn in this tab: those of notebooks that it shows, and those that no tab shows.
 */
import type { IDisposable } from '@lumino/disposable';

import type { Question } from '../contracts';
import type { IConsentPrompt, IOpenQuestion, IQuestions } from '../tokens';
import type { Presence } from './presence';

/** Draws the questions. */
export interface Drawer extends IDisposable {
  ask(items: readonly IOpenQuestion[]): void;
}

export class ConsentController implements IConsentPrompt, IDisposable {
  constructor(options: { questions: IQuestions; presence: Presence; drawer: () => Drawer }) {
    this._questions = options.questions;
    this._presence = options.presence;
    this._make = options.drawer;
    this._questions.changed.connect(this.look, this);
    this._presence.changed.connect(this.lookAgain, this);
    this.look();
  }

  get isDisposed(): boolean {
    return this._disposed;
  }

  /** Draws all waiting questions, wherever their notebook is. */
  answer(): void {
    for (const { question } of this._questions.items) {
      this._drawn.add(question.id);
    }
    this.draw();
  }

  /** Decides again, after what this tab or another one shows has changed. */
  lookAgain(): void {
    this._elsewhere.clear();
    this.look();
  }

  dispose(): void {
    if (this._disposed) {
      return;
    }
    this._disposed = true;
    this._questions.changed.disconnect(this.look, this);
    this._presence.changed.disconnect(this.lookAgain, this);
    this._drawer?.dispose();
  }

  private look(): void {
    const ids = new Set(this._questions.items.map(item => item.question.id));
    for (const known of [this._drawn, this._elsewhere]) {
      for (const id of known) {
        if (!ids.has(id)) {
          known.delete(id);
        }
      }
    }
    for (const { question } of this._questions.items) {
      if (this._drawn.has(question.id) || this._elsewhere.has(question.id)) {
        continue;
      }
      const path = pathOf(question);
      if (path === '' || this._presence.isShownHere(path)) {
        this._drawn.add(question.id);
      } else {
        void this.drawUnlessElsewhere(question.id, path);
      }
    }
    this.draw();
  }

  private async drawUnlessElsewhere(id: string, path: string): Promise<void> {
    this._elsewhere.add(id);
    const elsewhere = await this._presence.isShownElsewhere(path);
    const waits = this._questions.items.some(item => item.question.id === id);
    if (elsewhere || !waits || this._disposed) {
      return;
    }
    this._elsewhere.delete(id);
    this._drawn.add(id);
    this.draw();
  }

  private draw(): void {
    const items = this._questions.items.filter(item => this._drawn.has(item.question.id));
    if (items.length) {
      this._drawer ??= this._make();
    }
    this._drawer?.ask(items);
  }

  private readonly _questions: IQuestions;
  private readonly _presence: Presence;
  private readonly _make: () => Drawer;
  private readonly _drawn = new Set<string>();
  /** Ids of the questions whose notebook another tab shows, or that other tabs are being asked about. */
  private readonly _elsewhere = new Set<string>();
  private _drawer: Drawer | null = null;
  private _disposed = false;
}

/** Returns the path of the notebook that asks; `''` if any tab may show the question. */
function pathOf(question: Question): string {
  const { requester } = question;
  return requester.kind === 'notebook' ? requester.path || requester.label : '';
}
