import { beforeEach, describe, expect, test } from 'vitest';

import type { KeyLike } from '../../src/consent/keyGuard';
import { KeyGuard, QUIET_MS } from '../../src/consent/keyGuard';

let now = 0;
let guard: KeyGuard;

function key(name: string, change: Partial<KeyLike> = {}): boolean {
  return guard.accepts({ key: name, repeat: false, isTrusted: true, isComposing: false, ...change });
}

beforeEach(() => {
  now = 10_000;
  guard = new KeyGuard(() => now);
});

describe('after the question was drawn', () => {
  test.each(['Enter', 'Escape', ' ', 'Tab', 'a'])('%j is ignored until it is quiet', name => {
    now += QUIET_MS - 1;
    expect(key(name)).toBe(false);
  });

  test.each(['Enter', 'Escape', ' ', 'Tab'])('%j counts when it was quiet', name => {
    now += QUIET_MS;
    expect(key(name)).toBe(true);
  });

  test('typing on keeps it shut, however long', () => {
    for (let count = 0; count < 40; count++) {
      now += 300;
      expect(key(count % 5 === 4 ? 'Enter' : 'a')).toBe(false);
    }
    now += QUIET_MS;
    expect(key('Enter')).toBe(true);
  });

  test('another question in its place begins anew', () => {
    now += 5_000;
    guard.drawn();
    expect(key('Enter')).toBe(false);
    now += QUIET_MS;
    expect(key('Enter')).toBe(true);
  });
});

describe('a key that is held', () => {
  test('never counts, and holding it keeps the pause from ending', () => {
    for (let count = 0; count < 60; count++) {
      now += 33;
      expect(key('Enter', { repeat: true })).toBe(false);
    }
    now += QUIET_MS - 1;
    expect(key('Enter')).toBe(false);
  });

  test('a repeat does not count even after a pause', () => {
    now += 5_000;
    expect(key('Enter', { repeat: true })).toBe(false);
  });
});

describe('moving about', () => {
  beforeEach(() => {
    now += QUIET_MS;
    expect(key('Tab')).toBe(true);
  });

  test('goes on without a pause', () => {
    now += 50;
    expect(key('Tab')).toBe(true);
    now += 50;
    expect(key('ArrowRight')).toBe(true);
  });

  test('Enter right after it does not count: it could be a completion that was being chosen', () => {
    now += 120;
    expect(key('Enter')).toBe(false);
  });

  test('Enter after a pause counts', () => {
    now += QUIET_MS;
    expect(key('Enter')).toBe(true);
  });

  test('ends with another key', () => {
    now += 50;
    expect(key('x')).toBe(false);
    now += 50;
    expect(key('Tab')).toBe(false);
  });
});

test('a key that a script made never counts and does not disturb the pause', () => {
  now += QUIET_MS;
  expect(key('Enter', { isTrusted: false })).toBe(false);
  expect(key('Enter')).toBe(true);
});

test('a key of an input method that composes does not count', () => {
  now += QUIET_MS;
  expect(key('Enter', { isComposing: true })).toBe(false);
});

test('a modifier alone neither counts nor begins a pause', () => {
  now += QUIET_MS;
  expect(key('Shift')).toBe(false);
  expect(key('Tab')).toBe(true);
});

test('clicks settle as keys do', () => {
  expect(guard.isSettled).toBe(false);
  now += QUIET_MS;
  expect(guard.isSettled).toBe(true);
});
