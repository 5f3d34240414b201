/**
 * The words for the state of a connection, of its secret and of the vault, and for what a person has to do about it.
 */
import type { TranslationBundle } from '@jupyterlab/translation';

import type { Connection, ConnectionView, ProviderDefinition, SecretState, VaultState } from '../contracts';
import { revealOnly } from '../form/schema';
import type { Word } from '../ui/Pill';

/** The state of a connection in a word or two. A complete one is not called ready if its last test failed. */
export function statusWord(
  { connection, last_test }: { connection: Pick<Connection, 'status' | 'status_reason'> } & Pick<ConnectionView, 'last_test'>,
  vault: VaultState['state'] | undefined,
  trans: TranslationBundle
): Word {
  if (connection.status_reason === 'edited') {
    return { text: trans.__('Changed outside'), tone: 'err' };
  }
  if (connection.status_reason === 'unconfirmed') {
    return { text: trans.__('Not confirmed'), tone: 'warn' };
  }
  switch (connection.status_reason) {
    case 'workspace_changed':
      return { text: trans.__('Changed'), tone: 'warn' };
    case 'workspace_gone':
      return { text: trans.__('Gone'), tone: 'warn' };
    case 'workspace_unreadable':
      return { text: trans.__('File unreadable'), tone: 'err' };
  }
  if (connection.status === 'invalid') {
    return connection.status_reason === 'secret_unreadable'
      ? { text: trans.__('Replace secret'), tone: 'err' }
      : { text: trans.__('Draft'), tone: 'err' };
  }
  if (connection.status === 'draft') {
    return connection.status_reason === 'secret_missing' || connection.status_reason === 'destination_changed'
      ? { text: trans.__('Needs password'), tone: 'warn' }
      : { text: trans.__('Draft'), tone: 'mute' };
  }
  if (vault === 'locked') {
    return { text: trans.__('Locked'), tone: 'mute' };
  }
  return last_test?.ok === false
    ? { text: trans.__('Test failed'), tone: 'warn' }
    : { text: trans.__('Ready'), tone: 'ok' };
}

/** Whether a secret has to be entered before the connection can be used. */
export function lacksSecret({ status_reason }: Pick<Connection, 'status_reason'>): boolean {
  return status_reason === 'secret_missing' || status_reason === 'destination_changed' || status_reason === 'secret_unreadable';
}

/** Whether code may ask for plain text. Unless the kind offers nothing else, connection and server must allow it. */
export function mayBeRevealed(
  { connection }: Pick<ConnectionView, 'connection'>,
  provider: ProviderDefinition | undefined,
  allowedByServer: boolean
): boolean {
  return revealOnly(provider) || (allowedByServer && connection.reveal_allowed);
}

/** Whether the row was or may have been changed outside connvault; it does not count until a person has reviewed it. */
export function isForeign({ status_reason }: Pick<Connection, 'status_reason'>): boolean {
  return status_reason === 'edited' || status_reason === 'unconfirmed';
}

/** Whether the project's file no longer says what was accepted. */
export function leavesProject({ status_reason }: Pick<Connection, 'status_reason'>): boolean {
  return (
    status_reason === 'workspace_changed' || status_reason === 'workspace_gone' || status_reason === 'workspace_unreadable'
  );
}

/** What has to be done before the connection can be used; `''` if nothing. */
export function statusAdvice(view: ConnectionView, trans: TranslationBundle): string {
  switch (view.connection.status_reason) {
    case 'secret_missing':
      return trans.__('The password or token is missing. Enter it so that notebooks can use this connection.');
    case 'destination_changed':
      return trans.__('The destination was changed. Enter the secret again for the new one.');
    case 'secret_unreadable':
      return trans.__("The stored secret can no longer be read. Replace it; nothing else is lost.");
    case 'fields_missing':
      return trans.__('Some fields are still empty. Edit the connection to fill them in.');
    case 'provider_missing':
      return trans.__('The package that provides this kind of connection is not installed. Install it, or delete the connection.');
    case 'provider_changed':
      return trans.__('This kind of connection has changed. Edit the connection and check its fields.');
    case 'edited':
      return trans.__(
        'This connection was changed outside connvault. It is not used until you review it, save it and enter its secret again.'
      );
    case 'unconfirmed':
      return trans.__(
        'This connection was saved while the vault was locked, or changed outside connvault. Review it and save it again, or enter its secret.'
      );
    case 'workspace_changed':
      return trans.__(
        "The project's file says something else than you accepted. This connection is not used until you review the change."
      );
    case 'workspace_gone':
      return trans.__('The project no longer has this connection. Restore it in its file, or delete it here.');
    case 'workspace_unreadable':
      return trans.__("The project's file can't be read. Correct it, or restore it from version control; nothing is lost.");
    default:
      return '';
  }
}

/** The hint beside a secret that is not masked when the service sends it back; `''` if it is masked or not set. */
export function maskingHint(secret: SecretState | undefined, trans: TranslationBundle): string {
  return secret === undefined || secret.masked
    ? ''
    : trans.__(
        'Too short or too easy to guess to be masked in responses. A random secret of at least 24 characters is masked.'
      );
}

export function custodianWord(state: VaultState, trans: TranslationBundle): string {
  return state.custodian === 'passphrase' ? trans.__('passphrase') : state.custodian_label;
}
