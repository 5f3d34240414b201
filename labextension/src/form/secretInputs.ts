/**
 * The inputs of one form's secret fields. A secret is read when it is sent, and is nowhere else: not in React state,
 * not in the form data, not in an event.
 */
import type { SecretDraft } from '../contracts';

type SecretInput = HTMLInputElement | HTMLTextAreaElement;

export class SecretInputs {
  /** A ref callback for the input of `field`. */
  register(field: string, input: SecretInput | null): void {
    if (input) {
      this._inputs.set(field, input);
      const waiting = this._waiting.get(field);
      if (waiting !== undefined) {
        input.value = waiting;
        this._waiting.delete(field);
      }
    } else {
      this._inputs.delete(field);
    }
  }

  /** Whether anything is typed into the input of `field`. */
  isFilled(field: string): boolean {
    return (this._inputs.get(field)?.value ?? '') !== '';
  }

  get anyFilled(): boolean {
    return [...this._inputs.keys()].some(field => this.isFilled(field));
  }

  /** Puts a pasted secret into its input, or keeps it for the input that is about to be drawn. */
  fill(field: string, value: string): void {
    const input = this._inputs.get(field);
    if (input) {
      input.value = value;
    } else {
      this._waiting.set(field, value);
    }
  }

  /** Returns what is typed, as it is sent. Call `clear` right after sending it. */
  drafts(): { [field: string]: SecretDraft } {
    const filled = [...this._inputs].filter(([field]) => this.isFilled(field));
    return Object.fromEntries(filled.map(([field, input]) => [field, { value: input.value }]));
  }

  clear(): void {
    this._waiting.clear();
    for (const input of this._inputs.values()) {
      input.value = '';
    }
  }

  private readonly _inputs = new Map<string, SecretInput>();
  private readonly _waiting = new Map<string, string>();
}
