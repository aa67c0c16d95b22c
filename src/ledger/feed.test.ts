import assert from 'node:assert/strict';
import { test } from 'node:test';
import { feedEffect, feedWrites } from './feed.ts';

const HOUR = 3_600_000;
const AT = 1_800_000_000_000;
/** A serial number of a certificate that expires then. */
const serial = (expires: number): string => `serial:${expires.toString(16).padStart(12, '0')}${'0'.repeat(28)}`;

test('each event that stops or releases gets a row; an act is known by its first', () => {
  const writes = feedWrites(
    [
      { type: 'token.revoked', subjects: ['token:1'], body: {} },
      { type: 'instance.stopped', subjects: ['agent:planner', 'instance:i1'], body: {} },
      { type: 'certificate.revoked', subjects: ['agent:planner', 'instance:i1', serial(AT + HOUR)], body: {} },
    ],
    AT,
  );
  assert.deepEqual(
    writes.map(({ params }) => params),
    [
      [{ leaf: 1 }, { leaf: 1 }, 'instance.stopped', AT, AT + 2 * HOUR, '["instance:i1"]'],
      [{ leaf: 2 }, { leaf: 1 }, 'certificate.revoked', AT, AT + 2 * HOUR, JSON.stringify([serial(AT + HOUR)])],
    ],
  );
});

test('an end without certificates is kept as long as any certificate may live', () => {
  const [write] = feedWrites([{ type: 'agent.retired', subjects: ['agent:planner', 'owner:x'], body: {} }], AT);
  assert.equal(write!.params[4], AT + 366 * 24 * HOUR + HOUR);
  assert.equal(write!.params[5], '["agent:planner"]');
});

test('of a further trust domain the authority that was revoked falls, and whatever it signed', () => {
  const subjects = ['domain:partners.example', serial(AT + HOUR), 'issuer:00ff'];
  const [write] = feedWrites([{ type: 'domain.revoked', subjects, body: {} }], AT);
  assert.deepEqual(write!.params.slice(2), ['domain.revoked', AT, AT + 2 * HOUR, JSON.stringify(subjects.slice(1))]);
  assert.equal(feedEffect('domain.ended'), undefined);
});

test('what relying parties need not know of gets none', () => {
  const none = ['certificate.issued', 'agent.updated', 'operator.replaced', 'crl.signed', 'revocation.effective'];
  for (const type of none) assert.equal(feedEffect(type), undefined, type);
  assert.deepEqual(feedWrites([{ type: 'certificate.issued', subjects: [serial(AT)], body: {} }], AT), []);
  assert.equal(feedEffect('agent.quarantined'), 'hold');
  assert.equal(feedEffect('agent.released'), 'release');
});
