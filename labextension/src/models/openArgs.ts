/**
 * Where a request to open something leads. It may come from a document (a card, a link, any command link), so it is not
 * trusted: it names things that exist, and never says what is in a form.
 */
import type { IConnvault } from '../tokens';
import type { DetailTab, Screen } from './navigation';

const PROPOSAL = /^proposal-[A-Za-z0-9_-]{43}$/;

/** Whether this is the id of a suggestion rather than of a connection. */
export function isProposalId(id: unknown): id is string {
  return typeof id === 'string' && PROPOSAL.test(id);
}

const TABS: readonly DetailTab[] = ['details', 'grants', 'activity'];

/** Returns the screen to go to; `null` leaves the panel where it is. */
export function screenOf(
  args: { readonly [name: string]: unknown },
  { connections, vault }: Pick<IConnvault, 'connections' | 'vault'>
): Screen | null {
  if (args.screen === 'unlock') {
    return vault.state?.state === 'unlocked' ? { name: 'list' } : { name: vault.state?.state === 'absent' ? 'setup' : 'unlock' };
  }
  if (args.screen === 'setup') {
    return vault.state && vault.state.state !== 'absent' ? { name: 'list' } : { name: 'setup' };
  }
  if (args.screen === 'questions') {
    return { name: 'list' };
  }
  if (args.screen === 'workspaces') {
    return { name: 'workspaces' };
  }
  if (isProposalId(args.proposal)) {
    return { name: 'proposal', id: args.proposal };
  }
  if (args.new !== undefined && args.new !== false) {
    const known = typeof args.new === 'string' && connections.provider(args.new);
    return known ? { name: 'create', providerId: known.id } : { name: 'picker' };
  }
  const wanted = [args.connectionId, args.name].find(item => typeof item === 'string' && item !== '');
  if (wanted !== undefined) {
    const found = connections.get(String(wanted));
    const connectionId = found?.connection.id ?? String(wanted);
    if (args.screen === 'edit' && found) {
      return { name: 'edit', connectionId };
    }
    const tab = TABS.find(item => item === args.tab) ?? 'details';
    return { name: 'detail', connectionId, tab, ...(args.screen === 'secret' ? { asks: 'secret' as const } : {}) };
  }
  return null;
}
