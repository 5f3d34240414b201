import { ServerConnection } from '@jupyterlab/services';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { EventStream } from '../src/events';

class FakeSocket {
  static made: FakeSocket[] = [];
  onopen: (() => void) | null = null;
  onclose: (() => void) | null = null;
  onmessage: ((message: { data: unknown }) => void) | null = null;
  constructor(readonly url: string) {
    FakeSocket.made.push(this);
  }
  close(): void {
    this.onclose?.();
  }
}

let stream: EventStream;

function make(change: Partial<ServerConnection.ISettings> = {}): EventStream {
  return new EventStream(
    ServerConnection.makeSettings({
      baseUrl: 'http://server/',
      wsUrl: 'ws://server/',
      WebSocket: FakeSocket as unknown as typeof WebSocket,
      token: 't/k',
      appendToken: false,
      ...change
    })
  );
}

beforeEach(() => {
  vi.useFakeTimers();
  FakeSocket.made = [];
  stream = make();
});
afterEach(() => {
  stream.dispose();
  vi.useRealTimers();
  vi.restoreAllMocks();
});

test('the token is in the address only where the settings want it', () => {
  stream.connect();
  expect(FakeSocket.made[0].url).toBe('ws://server/connvault/api/v1/events');
  make({ appendToken: true }).connect();
  expect(FakeSocket.made[1].url).toBe('ws://server/connvault/api/v1/events?token=t%2Fk');
});

test('an event is passed on', () => {
  const heard: unknown[] = [];
  stream.received.connect((_, event) => heard.push(event));
  stream.connect();
  FakeSocket.made[0].onmessage?.({ data: '{"event":"access_request:asked","id":"q1"}' });
  expect(heard).toEqual([{ event: 'access_request:asked', id: 'q1' }]);
});

test.each(['', 'no json', '7', '{"event":"of a newer server"}', '{"event":"vault:changed","id":7}'])(
  '%j is dropped, and the stream goes on',
  data => {
    vi.spyOn(console, 'warn').mockImplementation(() => undefined);
    const heard: unknown[] = [];
    stream.received.connect((_, event) => heard.push(event));
    stream.connect();
    FakeSocket.made[0].onmessage?.({ data });
    FakeSocket.made[0].onmessage?.({ data: '{"event":"vault:changed","id":null}' });
    expect(heard).toEqual([{ event: 'vault:changed', id: null }]);
  }
);

test('a lost connection is tried again, later each time, and quickly after one that worked', () => {
  stream.connect();
  const waits: number[] = [];
  for (let count = 0; count < 9; count++) {
    FakeSocket.made[FakeSocket.made.length - 1].onclose?.();
    const before = FakeSocket.made.length;
    let waited = 0;
    while (FakeSocket.made.length === before) {
      vi.advanceTimersByTime(50);
      waited += 50;
    }
    waits.push(waited);
  }
  expect(waits).toEqual([250, 500, 1000, 2000, 4000, 8000, 15000, 15000, 15000]);
  const last = FakeSocket.made[FakeSocket.made.length - 1];
  last.onopen?.();
  last.onclose?.();
  vi.advanceTimersByTime(250);
  expect(FakeSocket.made).toHaveLength(11);
});

test('opening again is told each time', () => {
  let opened = 0;
  stream.opened.connect(() => opened++);
  stream.connect();
  FakeSocket.made[0].onopen?.();
  FakeSocket.made[0].onclose?.();
  vi.advanceTimersByTime(250);
  FakeSocket.made[1].onopen?.();
  expect(opened).toBe(2);
});

test('a disposed stream does not come back', () => {
  stream.connect();
  stream.dispose();
  vi.advanceTimersByTime(60_000);
  expect(FakeSocket.made).toHaveLength(1);
});
