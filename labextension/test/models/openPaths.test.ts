import type { JupyterFrontEnd } from '@jupyterlab/application';
import { expect, test } from 'vitest';

import { openPaths } from '../../src/models/openPaths';

/** As JupyterLab's own: what is before a colon is the drive. */
const contents = {
  driveName: (path: string) => (path.includes(':') ? path.split(':')[0] : ''),
  localPath: (path: string) => path.split(':').at(-1) ?? ''
};

test('the paths of open documents are those on the server, also of those that are edited together', () => {
  const widgets = [
    { context: { path: 'shop/report.ipynb' } },
    { context: { path: 'RTC:shop/together.ipynb' } },
    { context: { path: 'S3:bucket/report.ipynb' } },
    { title: 'Launcher' }
  ];
  const app = { shell: { widgets: () => widgets }, serviceManager: { contents } } as unknown as JupyterFrontEnd;
  expect(openPaths(app)).toEqual(['shop/report.ipynb', 'shop/together.ipynb']);
});
