/**
 * The kinds of connections to choose from: icon, name, what it is, and a search that also takes a pasted URL.
 */
import type { TranslationBundle } from '@jupyterlab/translation';
import { useState } from 'react';

import type { ProviderDefinition, SkippedProvider } from '../contracts';
import { foreignText } from '../foreignText';
import type { Pasted } from '../form/paste';
import { parsePasted } from '../form/paste';
import { Icon } from '../icons';
import { CATEGORIES, categoryTitle, intoRows, walk } from './ConnectionList';
import { ProviderIcon, ScreenHeader } from './pieces';

export interface PickerProps {
  providers: readonly ProviderDefinition[];
  skipped: readonly SkippedProvider[];
  /** What the new one will be called; empty when that is not known yet. */
  name: string;
  trans: TranslationBundle;
  onPick: (providerId: string) => void;
  /** A URL or command that was pasted; it may hold a password. */
  onPaste: (pasted: Pasted) => void;
  onBack: () => void;
}

export function Picker(props: PickerProps): JSX.Element {
  const { providers, skipped, trans } = props;
  const [query, setQuery] = useState('');
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const found = providers.filter(item => {
    const text = `${item.id} ${item.name} ${item.description ?? ''}`.toLowerCase();
    return words.every(word => text.includes(word));
  });
  const groups = CATEGORIES.map(category => ({
    category,
    tiles: found.filter(item => (item.category ?? 'other') === category)
  })).filter(group => group.tiles.length);

  return (
    <section className="jp-connvault-screen" aria-label={trans.__('New connection')}>
      <ScreenHeader title={trans.__('What do you connect to?')} onBack={props.onBack} trans={trans} />
      <label className="jp-connvault-search">
        <Icon name="find" />
        <input
          type="search"
          autoFocus
          data-testid="connvault-picker-search"
          aria-label={trans.__('Search kinds of connections, or paste a URL')}
          placeholder={trans.__('Search or paste a URL …')}
          value={query}
          onPaste={event => {
            const pasted = parsePasted(event.clipboardData.getData('text/plain'));
            if (pasted && providers.some(item => item.id === pasted.providerId)) {
              // It may hold a password, which must not come into the search's state.
              event.preventDefault();
              props.onPaste(pasted);
            }
          }}
          onChange={event => setQuery(event.target.value)}
          onKeyDown={event => {
            intoRows(event);
            if (event.key === 'Enter' && query && found.length && !event.nativeEvent.isComposing) {
              props.onPick(groups[0].tiles[0].id);
            }
          }}
        />
      </label>
      {props.name && (
        <p className="jp-connvault-note">
          {trans.__('For')} <code>connection(&quot;{foreignText(props.name)}&quot;)</code>
        </p>
      )}
      <div className="jp-connvault-scroll" onKeyDown={walk}>
        {groups.map(group => (
          <section key={group.category} aria-label={categoryTitle(group.category, trans)}>
            <h3 className="jp-connvault-group" aria-hidden="true">
              {categoryTitle(group.category, trans)}
            </h3>
            <div className="jp-connvault-tiles">
              {group.tiles.map(item => (
                <button
                  key={item.id}
                  type="button"
                  className="jp-connvault-tile"
                  data-testid={`connvault-provider-${item.id}`}
                  onClick={() => props.onPick(item.id)}
                >
                  <ProviderIcon provider={item} />
                  <span className="jp-connvault-rowText">
                    <b>{foreignText(item.name)}</b>
                    {item.description && <small>{foreignText(item.description)}</small>}
                  </span>
                </button>
              ))}
            </div>
          </section>
        ))}
        {!found.length && (
          <p className="jp-connvault-empty" role="status">
            {trans.__('Nothing here is called that. “HTTP API” or “Secret value” may do.')}
          </p>
        )}
        {skipped.length > 0 && (
          <details className="jp-connvault-more">
            <summary>{trans._n('%1 kind could not be used', '%1 kinds could not be used', skipped.length)}</summary>
            <ul className="jp-connvault-plainList">
              {skipped.map(item => (
                <li key={item.source}>
                  <b>{foreignText(item.source)}</b>
                  <br />
                  {foreignText(item.reason)}
                </li>
              ))}
            </ul>
          </details>
        )}
      </div>
    </section>
  );
}
