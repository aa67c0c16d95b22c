import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Approval, ApprovalStatus } from '../approval/approval.ts';
import { accessTask } from '../wire/access-task.ts';
import { parse } from '../wire/schema.ts';
import { taskOf } from './task.ts';

const approval = (status: ApprovalStatus): Approval => ({
  ...{ id: '01kaj8x5y7zq4m2n6p8r0t2v4w', requester: 'spiffe://example.com/operator/ada', requesterPerson: 'ada' },
  ...{ action: 'owner.restore', resource: { type: 'Owner', id: 'research' }, facts: { resource: {}, context: {} } },
  ...{ parameters: '{}', salt: new Uint8Array(16), digest: new Uint8Array(32), reason: 'x', rule: 'r', needed: 2 },
  ...{ group: 'ca-officers', policyVersion: 1, status, version: 1, createdAt: 0, expiresAt: 3_600_000, decisions: [] },
  ...(status === 'used' ? { endedAt: 60_000 } : {}),
});

const BASE = 'https://writ.example.com:8443';
const TASKS: readonly [ApprovalStatus, string, string | undefined, boolean][] = [
  ['pending', 'pending', undefined, true],
  ['granted', 'approved', '1970-01-01T01:00:00.000Z', true],
  ['used', 'approved', '1970-01-01T00:01:00.000Z', false],
  ['denied', 'denied', undefined, false],
  ['expired', 'expired', undefined, false],
  ['withdrawn', 'cancelled', undefined, false],
];

test('each status has its word in the profile; only what is approved has a result, and no longer than it holds', () => {
  for (const [status, word, until, cancellable] of TASKS) {
    const { task, result } = parse(accessTask, taskOf(approval(status), BASE), 'body');
    assert.deepEqual([task.status, result?.approval.approved_until], [word, until], status);
    assert.equal(task.status_endpoint, `${BASE}/access/v1/requests/${task.id}`);
    assert.equal(task.links?.cancel, cancellable ? `${task.status_endpoint}/cancel` : undefined, status);
  }
});
