import { describe, expect, test } from 'vitest';

import { exposureOf } from '../../src/models/exposure';

describe('what the server says of itself', () => {
  test.each([
    ['{"enabled": true, "exposure": "It is open."}', 'It is open.'],
    ['{"enabled": true, "exposure": ""}', ''],
    ['{"exposure": 5}', ''],
    ['null', ''],
    ['', ''],
    ['no JSON', '']
  ])('%s', (option, expected) => {
    expect(exposureOf(option)).toBe(expected);
  });
});
