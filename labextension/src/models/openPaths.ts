/**
 * Which files of the server are open as documents.
 */
import type { JupyterFrontEnd } from '@jupyterlab/application';

// The drive of jupyter-collaboration: its documents are the server's files.
const SHARED_DRIVE = 'RTC';

/** Returns the paths on the server of the open documents; those of other drives have none. */
export function openPaths({ shell, serviceManager: { contents } }: Pick<JupyterFrontEnd, 'shell' | 'serviceManager'>): string[] {
  return [...shell.widgets('main')].flatMap(widget => {
    const path = (widget as { context?: { path?: unknown } }).context?.path;
    return typeof path === 'string' && ['', SHARED_DRIVE].includes(contents.driveName(path)) ? [contents.localPath(path)] : [];
  });
}
