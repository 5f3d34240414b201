/**
 * Errors in words for people: a refusal by the server, or whatever else was thrown.
 */
import type { FieldError } from './contracts';

/**
 * A refusal as the server worded it (RFC 9457). `code` is stable; `detail` says what to do next.
 */
export class ProblemError extends Error {
  constructor(
    readonly code: string,
    readonly detail: string,
    readonly status: number,
    readonly title: string = code,
    readonly errors: readonly FieldError[] = []
  ) {
    super(detail);
    this.name = 'ProblemError';
  }
}

/** Returns the message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
