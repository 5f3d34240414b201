import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { ConsentDialog } from '../../src/consent/ConsentDialog';
import { QUIET_MS } from '../../src/consent/keyGuard';
import type { DecisionKind, ProviderDefinition, Question } from '../../src/contracts';
import { openQuestion, provider, trans } from '../support/records';

const find = (id: string): HTMLElement | null => document.querySelector(`[data-testid="${id}"]`);
const get = (id: string): HTMLElement => {
  const found = find(id);
  if (!found) {
    throw new Error(`nothing has the test id ${id}`);
  }
  return found;
};
const settle = async (): Promise<void> => {
  for (let count = 0; count < 10; count++) {
    await Promise.resolve();
  }
};

describe('the dialog', () => {
  let now: number;
  let decisions: [string, DecisionKind, string][];
  let answer: 'decided' | 'changed' | 'gone' | Error;
  let dialog: ConsentDialog;
  let kindOf: ProviderDefinition;

  beforeEach(() => {
    now = 1_000;
    decisions = [];
    answer = 'decided';
    kindOf = provider();
    dialog = new ConsentDialog({
      trans,
      provider: () => kindOf,
      now: () => now,
      decide: async (question: Question, decision: DecisionKind) => {
        decisions.push([question.id, decision, question.digest]);
        if (answer instanceof Error) {
          throw answer;
        }
        return answer;
      }
    });
  });
  afterEach(() => dialog.dispose());

  /** A key as a person presses it; jsdom's own events are never trusted. */
  async function press(key: string, change: object = {}): Promise<{ prevented: boolean; stopped: boolean }> {
    const seen = { prevented: false, stopped: false };
    dialog.handleEvent({
      type: 'keydown',
      key,
      repeat: false,
      isTrusted: true,
      isComposing: false,
      ctrlKey: false,
      metaKey: false,
      preventDefault: () => (seen.prevented = true),
      stopImmediatePropagation: () => (seen.stopped = true),
      ...change
    } as unknown as KeyboardEvent);
    await settle();
    return seen;
  }

  test('asks in one sentence and names who, where, how and why', () => {
    dialog.ask([openQuestion()]);
    const text = dialog.node.textContent ?? '';
    expect(dialog.node.querySelector('h2')?.textContent).toBe('Let this notebook use warehouse?');
    for (const part of [
      'first_steps.ipynb',
      'reports/first_steps.ipynb',
      'Python 3',
      'PostgreSQL',
      'app@db.internal:5432/sales',
      'Brokered: connvault logs in; the password never enters the notebook.',
      'The code says: “monthly report”',
      'This timeup to 1 hour',
      'Until kernel stops',
      '8 hours',
      'Always, this notebook',
      'Never for this notebook'
    ]) {
      expect(text).toContain(part);
    }
  });

  test('is an alert that is described by its own words', () => {
    dialog.ask([openQuestion()]);
    expect(dialog.node.getAttribute('role')).toBe('alertdialog');
    for (const name of ['aria-labelledby', 'aria-describedby']) {
      expect(document.getElementById(dialog.node.getAttribute(name) ?? '')?.textContent).toBeTruthy();
    }
  });

  test('has the focus on Deny, with the clock', () => {
    dialog.ask([openQuestion()]);
    expect(document.activeElement).toBe(get('connvault-deny'));
    expect(get('connvault-countdown').textContent).toBe('59 s');
  });

  test('offers what the broker offers and preselects what it says', () => {
    dialog.ask([openQuestion({ durations: ['once', 'session'], preselected: 'session' })]);
    expect(find('connvault-duration-always')).toBeNull();
    expect(get('connvault-duration-session').dataset.chosen).toBe('true');
  });

  test.each([
    ['Untitled1.ipynb', 'notebook', ['once', 'session'], true],
    ['Untitled1.ipynb', 'notebook', ['once', 'session', 'for'], false],
    ['Untitled Folder/report.ipynb', 'notebook', ['once', 'session'], false],
    ['Untitled.py', 'script', ['once', 'session'], false]
  ] as const)('from %s (%s) with %j to choose from says why there is no more: %s', (label, kind, durations, says) => {
    dialog.ask([openQuestion({ durations: [...durations] }, { label, path: label, kind })]);
    expect(find('connvault-unnamed') !== null).toBe(says);
  });

  test('gives the focus back when it closes', () => {
    const editor = document.body.appendChild(document.createElement('textarea'));
    editor.focus();
    dialog.ask([openQuestion()]);
    dialog.ask([]);
    expect(document.activeElement).toBe(editor);
    expect(dialog.isAttached).toBe(false);
    editor.remove();
  });

  test('shows no hidden or reordering character', () => {
    dialog.ask([
      openQuestion(
        { destination: 'app@\u202eevil', reasons: ['\u2066x\u0007'], connection: 'ware\u200bhouse' },
        { label: 'a\u202eb.ipynb', path: 'a\u202eb.ipynb' }
      )
    ]);
    for (const hidden of ['\u202e', '\u2066', '\u0007', '\u200b']) {
      expect(dialog.node.textContent).not.toContain(hidden);
    }
    expect(dialog.node.textContent).toContain('app@[U+202E]evil');
  });

  test('shows markup as text', () => {
    dialog.ask([openQuestion({ reasons: ['<img src=x onerror=alert(1)>'] })]);
    expect(dialog.node.querySelector('img[src="x"]')).toBeNull();
    expect(dialog.node.textContent).toContain('<img src=x');
  });

  describe('under typing hands', () => {
    test.each(['Enter', 'Escape', ' ', 'a', 'Tab'])('%j right after drawing does nothing and goes nowhere', async key => {
      dialog.ask([openQuestion()]);
      now += QUIET_MS - 1;
      expect(await press(key)).toEqual({ prevented: true, stopped: true });
      expect(decisions).toEqual([]);
    });

    test('blind typing decides nothing', async () => {
      dialog.ask([openQuestion()]);
      for (const key of 'select 1;') {
        now += 180;
        await press(key);
      }
      now += 180;
      await press('Enter');
      expect(decisions).toEqual([]);
    });

    test('a click that was on its way is not one for Allow', () => {
      dialog.ask([openQuestion()]);
      expect(get('connvault-allow').getAttribute('aria-disabled')).toBe('true');
    });

    test('the keys that a script sends do nothing', async () => {
      dialog.ask([openQuestion()]);
      now += 5_000;
      await press('Escape', { isTrusted: false });
      get('connvault-deny').click();
      await settle();
      expect(decisions).toEqual([]);
    });
  });

  describe('when it is quiet', () => {
    beforeEach(() => {
      dialog.ask([openQuestion()]);
      now += QUIET_MS;
    });

    test.each(['Enter', 'Escape', ' '])('%j denies where the focus is', async key => {
      await press(key);
      expect(decisions).toEqual([['q1', 'deny', 'a'.repeat(64)]]);
    });

    test('Enter allows when the focus was moved to Allow', async () => {
      get('connvault-allow').focus();
      await press('Enter');
      expect(decisions).toEqual([['q1', 'once', 'a'.repeat(64)]]);
    });

    test('Escape denies even with the focus on Allow', async () => {
      get('connvault-allow').focus();
      await press('Escape');
      expect(decisions[0][1]).toBe('deny');
    });

    test('Enter on a duration denies', async () => {
      get('connvault-duration-always').querySelector('input')?.focus();
      await press('Enter');
      expect(decisions[0][1]).toBe('deny');
    });

    test('Enter on Never denies for good', async () => {
      get('connvault-never').focus();
      await press('Enter');
      expect(decisions[0][1]).toBe('deny_always');
    });

    test('letters do nothing', async () => {
      await press('y');
      expect(decisions).toEqual([]);
    });

    test("the browser's own keys are left to it, but the page behind sees none", async () => {
      expect(await press('r', { ctrlKey: true })).toEqual({ prevented: false, stopped: true });
      expect(await press('F5')).toEqual({ prevented: false, stopped: true });
    });

    test('nothing can be allowed any more when the time is over', async () => {
      now += 60_000;
      get('connvault-allow').focus();
      await press('Enter');
      expect(decisions).toEqual([]);
    });

    test('only one answer is sent', async () => {
      void press('Escape');
      await press('Escape');
      now += QUIET_MS;
      expect(decisions).toHaveLength(1);
    });

    test('an answer that could not be sent is told, and can be tried again', async () => {
      answer = new Error('The Jupyter server does not answer.');
      await press('Escape');
      expect(dialog.node.textContent).toContain('The Jupyter server does not answer.');
      answer = 'decided';
      now += QUIET_MS;
      await press('Escape');
      expect(decisions).toHaveLength(2);
    });
  });

  test('a question that changed is drawn anew, with the guard shut and the focus on Deny', async () => {
    dialog.ask([openQuestion()]);
    now += QUIET_MS;
    answer = 'changed';
    get('connvault-allow').focus();
    await press('Enter');
    dialog.ask([openQuestion({ digest: 'c'.repeat(64), destination: 'app@evil.example:5432/x' })]);
    expect(document.activeElement).toBe(get('connvault-deny'));
    expect(dialog.node.textContent).toContain('app@evil.example');
    expect(dialog.node.textContent).toContain('changed after it was shown');
    decisions.length = 0;
    await press('Enter');
    expect(decisions).toEqual([]);
  });

  test('several are one dialog; the next comes up guarded when one is decided', async () => {
    const items = [openQuestion(), openQuestion({ id: 'q2', connection: 'github' })];
    dialog.ask(items);
    expect(get('connvault-queue').textContent).toBe('1 of 2');
    now += QUIET_MS;
    await press('Escape');
    dialog.ask([items[1]]);
    expect(dialog.node.querySelector('h2')?.textContent).toContain('github');
    expect(find('connvault-queue')).toBeNull();
    await press('Escape');
    expect(decisions).toHaveLength(1);
  });

  test('another question that comes does not take the place of the one that is read', () => {
    const late = openQuestion({ id: 'late' });
    dialog.ask([late]);
    dialog.ask([openQuestion({ id: 'early', connection: 'other' }), late]);
    expect(get('connvault-dialog').dataset.question).toBe('late');
    expect(get('connvault-queue').textContent).toBe('2 of 2');
  });

  test('moving to the next question shows it', async () => {
    dialog.ask([openQuestion(), openQuestion({ id: 'q2' })]);
    now += QUIET_MS;
    get('connvault-next').focus();
    await press('Enter');
    expect(get('connvault-dialog').dataset.question).toBe('q2');
    expect(decisions).toEqual([]);
  });

  test.each([
    ['brokered', 'notebook', 'database', 'ok', 'Brokered: connvault logs in; the password never enters the notebook.'],
    ['brokered', 'script', 'database', 'ok', 'Brokered: connvault logs in; the password never enters this process.'],
    ['brokered', 'notebook', 'api', 'ok', 'Brokered: connvault logs in; the secret never enters the notebook.'],
    ['brokered', 'console', 'storage', 'ok', 'Brokered: connvault logs in; the secret never enters this process.'],
    ['in_clear', 'notebook', 'api', 'warn', "In the clear: the secret passes through this notebook's process."],
    ['in_clear', 'script', 'database', 'warn', "In the clear: the secret passes through this process's memory."]
  ] as const)('%s for a %s and a kind of %s says how the secret travels', (mode, kind, category, tone, line) => {
    kindOf = provider({ category });
    dialog.ask([openQuestion({ mode }, { kind })]);
    const how = get(`connvault-mode-${mode}`);
    expect(how.textContent).toBe(line);
    expect(how.className).toContain(`jp-mod-${tone}`);
    // What describes the dialog to a screen reader has it too.
    expect(document.getElementById(dialog.node.getAttribute('aria-describedby') ?? '')?.contains(how)).toBe(true);
  });

  test('several questions are listed with how each would be answered', () => {
    const waiting = [
      openQuestion(),
      openQuestion({ id: 'q2', connection: 'legacy', mode: 'in_clear' }),
      openQuestion({ id: 'q3', connection: 'key', mode: 'reveal' })
    ];
    dialog.ask(waiting);
    const items = [...dialog.node.querySelectorAll('.jp-connvault-waiting li')];
    expect(items.map(item => item.getAttribute('title'))).toEqual(['warehouse · brokered', 'legacy · in the clear', 'key · plain text']);
    expect(items.map(item => item.textContent)).toEqual(['warehousebrokered', 'legacyin the clear', 'keyplain text']);
    expect(items.map(item => item.getAttribute('aria-current'))).toEqual(['step', null, null]);
    dialog.ask(waiting.slice(0, 1));
    expect(dialog.node.querySelector('.jp-connvault-waiting')).toBeNull();
  });

  test('plain text is asked for loudly, each time, without a duration', () => {
    dialog.ask([openQuestion({ mode: 'reveal', durations: ['once'], preselected: null })]);
    expect(dialog.node.querySelector('h2')?.textContent).toBe('Give this notebook the secret of warehouse?');
    expect(dialog.node.textContent).toContain('Plain text.');
    expect(get('connvault-allow').textContent).toBe('Reveal this time');
    expect(dialog.node.querySelector('input[type=radio]')).toBeNull();
    expect(find('connvault-never')).toBeNull();
  });

  test.each([
    ['script', 'Let this script use warehouse?', 'Never for this script'],
    ['console', 'Let this console use warehouse?', 'Never for this process'],
    ['detached', 'Let this process use warehouse?', 'Never for this process']
  ] as const)('a %s is called what it is', (kind, sentence, never) => {
    dialog.ask([openQuestion({}, { kind })]);
    expect(dialog.node.querySelector('h2')?.textContent).toBe(sentence);
    expect(get('connvault-never').textContent).toBe(never);
  });

  test('a claim to be an agent is marked as one', () => {
    dialog.ask([openQuestion({ agent: 'claude' })]);
    expect(dialog.node.textContent).toContain('The code says that it acts for “claude”. connvault can’t verify that.');
  });

  test('what the code says is not there while the vault is locked, and that is said', () => {
    dialog.ask([openQuestion({ reasons: [], claims_hidden: 'locked' })]);
    expect(dialog.node.textContent).toContain('What the code says: (hidden while locked)');
  });

  test('two reasons that read the same are both there', () => {
    dialog.ask([openQuestion({ reasons: ['[secret]', '[secret]'] })]);
    expect(dialog.node.textContent?.match(/“\[secret\]”/g)).toHaveLength(2);
  });
});
