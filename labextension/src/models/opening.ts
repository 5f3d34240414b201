/**
 * Where a request to open something leads. The request may come from a card or a link, so it is read with distrust.
 */
import type { FieldValue } from '../contracts';
import type { IConnvault } from '../tokens';
import type { DetailTab, Place, Prefill } from './navigation';

const TABS: readonly DetailTab[] = ['details', 'grants', 'activity'];

/** `null` leaves the panel where it is. */
export function placeOf(
  args: { readonly [name: string]: unknown },
  { connections, vault }: Pick<IConnvault, 'connections' | 'vault'>
): Place | null {
  if (args.screen === 'unlock') {
    return vault.state?.state === 'unlocked' ? { screen: 'list' } : { screen: vault.state?.state === 'absent' ? 'setup' : 'unlock' };
  }
  if (args.screen === 'setup') {
    return vault.state && vault.state.state !== 'absent' ? { screen: 'list' } : { screen: 'setup' };
  }
  if (args.screen === 'questions') {
    return { screen: 'list' };
  }
  if (args.new !== undefined && args.new !== false) {
    const prefill = prefillOf(args);
    const known = typeof args.new === 'string' && connections.provider(args.new);
    return known ? { screen: 'create', providerId: known.id, prefill } : { screen: 'picker', prefill };
  }
  const wanted = [args.connectionId, args.name].find(item => typeof item === 'string' && item !== '');
  if (wanted !== undefined) {
    const found = connections.get(String(wanted));
    const connectionId = found?.connection.id ?? String(wanted);
    if (args.screen === 'edit' && found) {
      return { screen: 'edit', connectionId };
    }
    const tab = TABS.find(item => item === args.tab) ?? 'details';
    return { screen: 'detail', connectionId, tab, ...(args.screen === 'secret' ? { asks: 'secret' as const } : {}) };
  }
  return null;
}

function prefillOf(args: { readonly [name: string]: unknown }): Prefill {
  const given = typeof args.prefill === 'object' && args.prefill !== null ? Object.entries(args.prefill) : [];
  const plain = given.filter(([, value]) => ['string', 'number', 'boolean'].includes(typeof value));
  return {
    name: typeof args.name === 'string' ? args.name : '',
    // Secret fields among them are left out where the form is made: it knows which they are.
    fields: Object.fromEntries(plain) as { [name: string]: FieldValue }
  };
}
