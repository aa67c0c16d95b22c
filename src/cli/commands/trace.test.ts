import assert from 'node:assert/strict';
import { test } from 'node:test';
import { summaryOf } from './trace.ts';

test('of a refusal a line has room for who was refused and why, however long the rest is', () => {
  const body = {
    caller: `spiffe://agents.example.com/service/box/${'0'.repeat(26)}`,
    ...{
      count: 1,
      fault: 'no-entry',
      program: `/opt/${'a'.repeat(200)}`,
      since: '2026-11-22T00:00:00.000Z',
      uid: 1000,
    },
  };
  assert.match(summaryOf({ body }), /^fault=no-entry uid=1000 program=\/opt\/a+…$/);
});

test('ids of this trust domain are shown without it, those of another one whole', () => {
  const body = {
    caller: 'spiffe://agents.example.com/operator/ada',
    endpoint_id: 'spiffe://prod.example/spire/server',
  };
  assert.equal(summaryOf({ body }), 'caller=operator/ada endpoint_id=spiffe://prod.example/spire/server');
});
