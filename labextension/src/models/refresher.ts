/**
 * Runs a load at most once at a time; who asks meanwhile gets one more run after it, so that no change is missed and a
 * burst of events costs two requests.
 */
export class Refresher {
  constructor(private readonly load: () => Promise<void>) {}

  run(): Promise<void> {
    if (!this._running) {
      this._running = this.load().finally(() => {
        this._running = null;
      });
      return this._running;
    }
    this._next ??= this._running.then(() => {
      this._next = null;
      return this.run();
    });
    return this._next;
  }

  private _running: Promise<void> | null = null;
  private _next: Promise<void> | null = null;
}
