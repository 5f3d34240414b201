import { cleanup, configure } from '@testing-library/react';
import { afterEach } from 'vitest';

// What JupyterLab's packages expect of a browser and jsdom does not have.
class DragEventStub extends Event {}
Object.assign(globalThis, { DragEvent: globalThis.DragEvent ?? DragEventStub });

globalThis.matchMedia ??= (query: string) =>
  ({
    matches: false,
    media: query,
    addEventListener: () => undefined,
    removeEventListener: () => undefined
  }) as unknown as MediaQueryList;

// Not there where a test asks for no document: jsdom's typed arrays are none to node's cryptography.
if (typeof HTMLDialogElement !== 'undefined') {
  HTMLDialogElement.prototype.showModal ??= function (this: HTMLDialogElement) {
    this.open = true;
  };
  HTMLDialogElement.prototype.close ??= function (this: HTMLDialogElement) {
    this.open = false;
  };
}

// What is waited for comes at once, or, on a busy machine, later. Never is a failure, late is none.
configure({ asyncUtilTimeout: 20_000 });

afterEach(() => cleanup());
