/**
 * What went wrong, in words for people: a refusal of the server, or whatever else was thrown.
 */
import type { FieldError } from './contracts';

/**
 * A refusal as the server put it (RFC 9457). `code` is stable; `detail` says what to do next.
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

/** What is said about something that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
