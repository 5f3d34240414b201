import { expect, test } from 'vitest';

import { strengthOf } from '../../src/panel/strength';

test.each([
  ['short', 'short'],
  ['aaaaaaaaaaaa', 'weak'],
  ['abcdefghijkl', 'weak'],
  ['password1234', 'weak'],
  ['password password', 'weak'],
  ['vienna-2026-x', 'fair'],
  ['correct horse battery staple', 'strong'],
  ['k7#Qm2!xVp9$Lw', 'strong']
])('the passphrase %j is %s', async (passphrase, strength) => {
  expect((await strengthOf(passphrase, 10)).strength).toBe(strength);
});
