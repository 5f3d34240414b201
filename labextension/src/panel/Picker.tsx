/**
 * The kinds of connections to choose from, by category or by search. The search also accepts a pasted URL.
 */
import type { TranslationBundle } from '@jupyterlab/translation';
import { useState } from 'react';

import type { Proposal, ProviderDefinition, SkippedProvider } from '../contracts';
import { foreignName, foreignText } from '../foreignText';
import type { Pasted } from '../form/paste';
import { mayHoldPassword, parsePasted } from '../form/paste';
import { suggestedBy } from '../form/Suggestion';
import { Icon, ProviderIcon } from '../ui/icons';
import { Banner } from '../ui/notices';
import { intoRows, walkTiles } from './arrowKeys';
import { byName, CATEGORIES, categoryTitle, searched } from './kinds';
import { ScreenHeader } from './ScreenHeader';

interface PickerProps {
  providers: readonly ProviderDefinition[];
  skipped: readonly SkippedProvider[];
  /** What code suggests; its name for the new connection is shown. */
  proposal?: Proposal;
  trans: TranslationBundle;
  onPick: (providerId: string) => void;
  /** Takes a URL or command that was pasted; it may hold a password. */
  onPaste: (pasted: Pasted) => void;
  onBack: () => void;
}

export function Picker(props: PickerProps): JSX.Element {
  const { providers, skipped, proposal, trans } = props;
  const [query, setQuery] = useState('');
  const [isRefused, setRefused] = useState(false);
  const isSearching = query.trim() !== '';
  const found = isSearching ? searched(providers, query, trans) : byName(providers);
  const groups = isSearching
    ? [{ title: '', tiles: found }]
    : CATEGORIES.map(category => ({
        title: categoryTitle(category, trans),
        tiles: found.filter(item => (item.category ?? 'other') === category)
      }));

  const known = (text: string): Pasted | null => {
    const pasted = parsePasted(text);
    return pasted && providers.some(item => item.id === pasted.providerId) ? pasted : null;
  };
  const refuse = (): void => {
    setQuery('');
    setRefused(true);
  };
  /** Takes a URL or command out of the box; `false` if the text is only searched for. */
  const take = (text: string): boolean => {
    const pasted = known(text);
    if (pasted) {
      setQuery('');
      props.onPaste(pasted);
      return true;
    }
    if (mayHoldPassword(text)) {
      refuse();
      return true;
    }
    return false;
  };

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
            // It may hold a password, which must not get into the state of the search.
            if (take(event.clipboardData.getData('text/plain'))) {
              event.preventDefault();
            }
          }}
          onChange={event => {
            const text = event.target.value;
            if (mayHoldPassword(text) && !known(text)) {
              refuse();
            } else {
              setQuery(text);
              // Somebody who types it to the end should still be able to read why it was removed.
              setRefused(isRefused && text !== '');
            }
          }}
          onKeyDown={event => {
            intoRows(event);
            if (event.key === 'Enter' && isSearching && !event.nativeEvent.isComposing && !take(query) && found.length) {
              props.onPick(found[0].id);
            }
          }}
        />
      </label>
      {proposal?.name && (
        <p className="jp-connvault-note" data-testid="connvault-suggestion">
          {trans.__('For')} <code>connection(&quot;{foreignName(proposal.name)}&quot;)</code>
          {trans.__(', suggested by %1', suggestedBy(proposal.requester, trans))}
        </p>
      )}
      <div className="jp-connvault-scroll" onKeyDown={walkTiles}>
        <span className="jp-connvault-unseen" role="status">
          {isSearching && found.length > 0 && trans._n('%1 kind found', '%1 kinds found', found.length)}
        </span>
        {isRefused && (
          <Banner tone="warn" icon="warn" isAlert testId="connvault-picker-refused">
            {trans.__('Not recognised. It may contain a password, so it was removed from the box. Choose a kind instead.')}
          </Banner>
        )}
        {groups
          .filter(({ tiles }) => tiles.length > 0)
          .map(({ title, tiles }) => (
            <section key={title} aria-label={title || trans.__('Found')}>
              {title && (
                <h3 className="jp-connvault-group" aria-hidden="true">
                  {title}
                </h3>
              )}
              <div className={`jp-connvault-tiles ${isSearching ? 'jp-mod-found' : ''}`}>
                {tiles.map((item, at) => (
                  <button
                    key={item.id}
                    type="button"
                    className="jp-connvault-tile"
                    data-testid={`connvault-provider-${item.id}`}
                    // What Enter in the search chooses.
                    data-first={(isSearching && at === 0) || undefined}
                    onClick={() => props.onPick(item.id)}
                  >
                    <ProviderIcon provider={item} />
                    <span className="jp-connvault-rowText">
                      <b>{foreignText(item.name)}</b>
                      {item.description && <small title={foreignText(item.description)}>{foreignText(item.description)}</small>}
                    </span>
                  </button>
                ))}
              </div>
            </section>
          ))}
        {!found.length && (
          <p className="jp-connvault-empty" role="status">
            {known(query)
              ? trans.__('Press Enter to fill in a form with it.')
              : trans.__('No kind has this name. For an API, try “HTTP API”; “Secret value” stores anything else.')}
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
