/**
 * As `validate`: what the server answers to an export and an import.
 */
import type {
  ExportedConnection,
  ExportedConnections,
  ImportedConnection,
  ImportedConnections,
  ImportEntry,
  ImportPreview,
  LeftOut,
  PresentConnection
} from './contracts';
import { flag, list, number, object, oneOf, orNull, text, time } from './decoders';

const withoutSecrets = orNull(oneOf('not_asked', 'no_reveal', 'unreadable', 'provider_missing', 'none_set'));

export const exportedConnections = object<ExportedConnections>({
  file: text,
  connections: list(
    object<ExportedConnection>({ id: text, name: text, secrets: list(text), without_secrets: withoutSecrets })
  ),
  left_out: list(object<LeftOut>({ id: text, name: text, reason: oneOf('edited', 'unconfirmed') }))
});

export const importPreview = object<ImportPreview>({
  made_at: time,
  connections: list(
    object<ImportEntry>({
      name: text,
      provider_id: text,
      provider_name: text,
      display_name: text,
      destination: text,
      reveal_allowed: flag,
      secrets: list(text),
      without_secrets: withoutSecrets,
      would: oneOf('new', 'same', 'name_taken', 'other_destination', 'unknown_kind', 'invalid'),
      present: orNull(
        object<PresentConnection>({ id: text, name: text, revision: number, provider_id: text, destination: text })
      )
    })
  )
});

export const importedConnections = object<ImportedConnections>({
  connections: list(
    object<ImportedConnection>({ id: text, name: text, action: oneOf('add', 'replace'), secrets: list(text) })
  ),
  skipped: list(text)
});
