/**
 * Who may use a connection, and who never may; each permission can be revoked.
 */
import type { TranslationBundle } from '@jupyterlab/translation';
import { useState } from 'react';

import type { GrantView, UseDay, DeliveryForm } from '../contracts';
import { messageOf } from '../errors';
import { fileName, foreignName } from '../foreignText';
import { Glyph } from '../ui/icons';
import { decisionWord, grantTrouble, hiddenWord, requesterIcon } from '../words/decisions';
import { howWord } from '../words/modes';
import { ago, exactly, stamp } from '../words/times';

interface GrantsTabProps {
  grants: readonly GrantView[];
  /** How the connection is delivered now; a permission ends when that changes. */
  delivery: DeliveryForm;
  uses: readonly UseDay[];
  trouble: string;
  now: number;
  trans: TranslationBundle;
  onRevoke: (grantId: string) => Promise<void>;
}

export function GrantsTab({ grants, delivery, uses, trouble, now, trans, onRevoke }: GrantsTabProps): JSX.Element {
  const [failed, setFailed] = useState('');
  const [busy, setBusy] = useState<ReadonlySet<string>>(new Set());

  const revoke = async (id: string): Promise<void> => {
    setBusy(before => new Set(before).add(id));
    setFailed('');
    try {
      await onRevoke(id);
    } catch (error) {
      setFailed(messageOf(error));
    }
    setBusy(before => new Set([...before].filter(item => item !== id)));
  };

  return (
    <div className="jp-connvault-scroll">
      {(failed || trouble) && (
        <p className="jp-connvault-empty" role="alert">
          {failed || trouble}
        </p>
      )}
      {!grants.length && !trouble && (
        <p className="jp-connvault-empty">
          {trans.__('Nobody yet. When code asks for this connection, you decide, and your decisions are listed here.')}
        </p>
      )}
      <ul className="jp-connvault-rows">
        {grants.map(view => {
          const { grant } = view;
          const isNever = grant.decision === 'deny_always';
          return (
            <li key={grant.id} className="jp-connvault-grant" data-counts={view.counts}>
              <Glyph name={isNever ? 'stop' : requesterIcon(grant.requester_kind)} />
              <span className="jp-connvault-rowText" title={foreignName(grant.requester_label)}>
                <b>
                  <bdi>{fileName(grant.requester_label)}</bdi>
                </b>
                <small>{terms(view, delivery, now, trans)}</small>
              </span>
              <button
                type="button"
                className="jp-connvault-button jp-mod-link"
                data-testid={`connvault-revoke-${grant.id}`}
                aria-label={
                  isNever
                    ? trans.__('Undo for %1', fileName(grant.requester_label))
                    : trans.__('Revoke for %1', fileName(grant.requester_label))
                }
                disabled={busy.has(grant.id)}
                onClick={() => void revoke(grant.id)}
              >
                {isNever ? trans.__('Undo') : trans.__('Revoke')}
              </button>
            </li>
          );
        })}
      </ul>
      <UseChart uses={uses} trans={trans} />
    </div>
  );
}

function terms(view: GrantView, delivery: DeliveryForm, now: number, trans: TranslationBundle): string {
  const { grant } = view;
  const said = stamp(grant.created_at, now);
  if (grant.decision === 'deny_always') {
    return trans.__('never · you said so %1', said);
  }
  const trouble = grantTrouble(view, trans);
  const until =
    grant.decision === 'for' && grant.expires_at
      ? trans.__('until %1', exactly(grant.expires_at))
      : decisionWord(grant.decision, trans);
  const parts = [
    trouble || until,
    howWord(grant.mode, view.counts ? delivery : null, trans),
    view.agent_hidden
      ? trans.__('only for an agent %1', hiddenWord(view.agent_hidden, trans))
      : grant.agent
        ? trans.__('only for %1', foreignName(grant.agent))
        : '',
    trans._n('%1 use', '%1 uses', view.uses),
    view.last_used_at ? ago(view.last_used_at, now, trans) : ''
  ];
  return parts.filter(Boolean).join(' · ');
}

function UseChart({ uses, trans }: { uses: readonly UseDay[]; trans: TranslationBundle }): JSX.Element | null {
  const most = Math.max(0, ...uses.map(day => day.uses));
  if (!most) {
    return null;
  }
  const total = uses.reduce((sum, day) => sum + day.uses, 0);
  return (
    <section aria-label={trans.__('Uses, last %1 days', uses.length)}>
      <div className="jp-connvault-group">{trans.__('Uses, last %1 days', uses.length)}</div>
      <div
        className="jp-connvault-chart"
        role="img"
        aria-label={trans.__('%1 uses in total, at most %2 a day', total, most)}
      >
        {uses.map(day => (
          <span
            key={day.day}
            title={trans._n('%2: %1 use', '%2: %1 uses', day.uses, day.day)}
            style={{ height: `${(day.uses / most) * 100}%` }}
          />
        ))}
      </div>
    </section>
  );
}
