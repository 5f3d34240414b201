/**
 * Hooks that connect React to the models.
 */
import type { ISignal } from '@lumino/signaling';
import { useCallback, useEffect, useReducer, useState } from 'react';

import { messageOf } from '../errors';

/** Redraws when the signal is emitted; returns how often it has been. */
export function useChanged<T>(signal: ISignal<T, void>): number {
  const [count, bump] = useReducer((value: number) => value + 1, 0);
  useEffect(() => {
    const slot = (): void => bump();
    signal.connect(slot);
    return () => {
      signal.disconnect(slot);
    };
  }, [signal]);
  return count;
}

interface Loaded<T> {
  value: T | null;
  trouble: string;
}

/**
 * Returns what `load` last resolved to. It runs again when one of `deps` changes; the previous value stays visible in
 * the meantime, and a result that comes too late is dropped.
 */
export function useLoaded<T>(load: () => Promise<T>, deps: readonly unknown[]): Loaded<T> {
  const [state, setState] = useState<Loaded<T>>({ value: null, trouble: '' });
  // The caller says what the load depends on.
  // eslint-disable-next-line react-hooks/exhaustive-deps
  const run = useCallback(load, deps);
  useEffect(() => {
    let isLate = false;
    run().then(
      value => !isLate && setState({ value, trouble: '' }),
      (error: unknown) =>
        !isLate &&
        setState(before => ({ ...before, trouble: messageOf(error) }))
    );
    return () => {
      isLate = true;
    };
  }, [run]);
  return state;
}
