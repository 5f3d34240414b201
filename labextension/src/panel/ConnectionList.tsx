/**
 * All connections: a search, and groups with one row for each connection and its state.
 */
import type { TranslationBundle } from '@jupyterlab/translation';
import { memo, useEffect, useId, useMemo, useState } from 'react';

import type { ConnectionView, ProviderDefinition, VaultState } from '../contracts';
import { foreignName, foreignText } from '../foreignText';
import { Icon, ProviderIcon } from '../ui/icons';
import { Pill } from '../ui/Pill';
import { mayBeRevealed, statusWord } from '../words/status';
import { intoRows, walkRows } from './arrowKeys';
import { CATEGORIES, categoryTitle } from './kinds';

// More than fits any window; the rest follows when the browser has time.
const FIRST_ROWS = 80;

interface ConnectionListProps {
  items: readonly ConnectionView[];
  providers: readonly ProviderDefinition[];
  /** Whether the server lets code ask for plain text at all. */
  revealAllowed: boolean;
  vault: VaultState['state'] | undefined;
  selected: string | null;
  trans: TranslationBundle;
  onOpen: (connectionId: string) => void;
  onNew: () => void;
}

export function ConnectionList(props: ConnectionListProps): JSX.Element {
  const { items, providers, trans } = props;
  const [query, setQuery] = useState('');
  const [limit, setLimit] = useState(FIRST_ROWS);

  useEffect(() => {
    if (items.length <= limit) {
      return;
    }
    const timer = window.setTimeout(() => setLimit(Infinity), 0);
    return () => window.clearTimeout(timer);
  }, [items.length, limit]);

  const kinds = useMemo(() => new Map(providers.map(item => [item.id, item])), [providers]);
  const found = useMemo(() => matching(items, kinds, query), [items, kinds, query]);
  const shown = found.slice(0, limit);
  const groups = CATEGORIES.map(category => ({
    category,
    rows: shown.filter(item => (kinds.get(item.connection.provider_id)?.category ?? 'other') === category)
  })).filter(group => group.rows.length);

  return (
    <>
      <label className="jp-connvault-search">
        <Icon name="find" />
        <input
          type="search"
          data-testid="connvault-search"
          aria-label={trans.__('Search connections')}
          placeholder={trans._n('Search %1 connection', 'Search %1 connections', items.length)}
          value={query}
          onChange={event => setQuery(event.target.value)}
          onKeyDown={event => {
            intoRows(event);
            if (event.key === 'Enter' && query && groups.length && !event.nativeEvent.isComposing) {
              props.onOpen(groups[0].rows[0].connection.id);
            }
          }}
        />
      </label>
      <div className="jp-connvault-scroll" onKeyDown={walkRows}>
        {groups.map(group => (
          <Group key={group.category} title={categoryTitle(group.category, trans)}>
            {group.rows.map(item => (
              <Row
                key={item.connection.id}
                item={item}
                provider={kinds.get(item.connection.provider_id)}
                revealAllowed={props.revealAllowed}
                vault={props.vault}
                isSelected={item.connection.id === props.selected}
                trans={trans}
                onOpen={props.onOpen}
              />
            ))}
          </Group>
        ))}
        {query && !found.length && (
          <div className="jp-connvault-empty" role="status">
            <p>{trans.__('No connection is called “%1”.', foreignText(query))}</p>
            <button type="button" className="jp-connvault-button" onClick={props.onNew}>
              {trans.__('Create one')}
            </button>
          </div>
        )}
      </div>
    </>
  );
}

function Group({ title, children }: { title: string; children: JSX.Element[] }): JSX.Element {
  const id = useId();
  return (
    <section aria-labelledby={id}>
      <h3 id={id} className="jp-connvault-group">
        {title}
      </h3>
      <ul className="jp-connvault-rows">{children}</ul>
    </section>
  );
}

interface RowProps {
  item: ConnectionView;
  provider: ProviderDefinition | undefined;
  revealAllowed: boolean;
  vault: VaultState['state'] | undefined;
  isSelected: boolean;
  trans: TranslationBundle;
  onOpen: (connectionId: string) => void;
}

const Row = memo(function Row({ item, provider, revealAllowed, vault, isSelected, trans, onOpen }: RowProps): JSX.Element {
  const { connection, destination } = item;
  const name = foreignName(connection.name);
  const where = foreignName(destination);
  const kind = provider ? foreignName(provider.name) : connection.provider_id;
  const label = where ? `${kind} · ${where}` : kind;
  return (
    <li>
      <button
        type="button"
        className="jp-connvault-row"
        data-testid={`connvault-row-${connection.name}`}
        data-connection={connection.id}
        aria-current={isSelected || undefined}
        onClick={() => onOpen(connection.id)}
      >
        <ProviderIcon provider={provider} />
        <b title={name}>{name}</b>
        <Pill word={statusWord(item, vault, trans)} />
        <small>
          <span title={label}>{label}</span>
          {connection.workspace && (
            <span className="jp-connvault-ofProject" title={foreignName(connection.workspace.root)}>
              {trans.__('project')}
            </span>
          )}
          {mayBeRevealed(item, provider, revealAllowed) && (
            <span
              className="jp-connvault-mayBeRevealed"
              title={trans.__('Notebook code may ask for the plain text. You are asked each time.')}
            >
              <Icon name="eye" />
              {trans.__('may be revealed')}
            </span>
          )}
        </small>
      </button>
    </li>
  );
});

/** Returns those that have every word of the query in their name, kind or destination. */
function matching(
  items: readonly ConnectionView[],
  kinds: ReadonlyMap<string, ProviderDefinition>,
  query: string
): readonly ConnectionView[] {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) {
    return items;
  }
  return items.filter(item => {
    const { name, display_name, provider_id } = item.connection;
    const text = [name, display_name, provider_id, kinds.get(provider_id)?.name, item.destination].join(' ').toLowerCase();
    return words.every(word => text.includes(word));
  });
}
