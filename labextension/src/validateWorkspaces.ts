/**
 * As `validate`: what projects' files say, and what was accepted of it.
 */
import type { Workspace, WorkspaceBlock, WorkspaceEntry } from './contracts';
import type { Readable } from './decoders';
import { fieldValue, flag, list, mapping, object, oneOf, orElse, orNull, readable, text } from './decoders';

const workspaceBlock = object<WorkspaceBlock>({
  name: text,
  display_name: orElse(text, ''),
  provider_id: text,
  fields: orElse(mapping(fieldValue), {})
});

const workspaceEntry = object<WorkspaceEntry>({
  id: text,
  state: oneOf('new', 'accepted', 'changed', 'gone', 'name_taken', 'unknown_kind'),
  block: orNull(workspaceBlock),
  accepted: orNull(workspaceBlock),
  connection_id: orNull(text),
  provider_name: text,
  destination: text,
  accepted_destination: text,
  destination_changed: flag,
  secrets_missing: list(text),
  digest: text
});

const workspace = object<Workspace>({
  root: text,
  file: text,
  problem: orElse(text, ''),
  // Whole or not at all: a block that is not shown could not be reviewed.
  entries: list(workspaceEntry)
});

export function workspaceList(value: unknown): Readable<Workspace> {
  return readable(value, 'workspaces', workspace);
}
