import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isWritError } from '../../base/error.ts';
import type { NodeServer } from '../server.ts';
import type { Child } from '../workloads/child.ts';
import { Tokens } from './tokens.ts';

const child = (instance: string): Child => ({ instance }) as Child;
/** A token that says how long it lives, which is all that is read of it. */
const tokenFor = (instance: string, audience: readonly string[]): string =>
  [
    { alg: 'ES256', kid: 'x', typ: 'JWT' },
    { sub: instance, aud: audience, iat: 1000, exp: 1300 },
  ]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .concat('AAAA')
    .join('.');

test('an instance that asks in a loop is held back, and takes nothing from its neighbours', async () => {
  let fetched = 0;
  const server = {
    async token(instance: string, audience: readonly string[]) {
      fetched += 1;
      return tokenFor(instance, audience);
    },
  } as NodeServer;
  const tokens = new Tokens(server, 1);
  const [loud, quiet] = [child('loud'), child('quiet')];
  const asked = await Promise.allSettled(Array.from({ length: 50 }, (_, n) => tokens.of(loud, [`a${n}`])));
  assert.ok(fetched >= 10 && fetched < 20, `${fetched} fetched`);
  for (const one of asked.slice(fetched)) {
    const error: unknown = one.status === 'rejected' ? one.reason : undefined;
    assert.ok(isWritError(error, 'rate_limited') && error.retryAfter! > 0 && error.retryAfter! <= 1000);
  }
  const before = fetched;
  assert.equal(await tokens.of(loud, ['a0']), tokenFor('loud', ['a0']), 'what it has it gets');
  assert.equal(fetched, before);
  assert.equal(await tokens.of(quiet, ['a0']), tokenFor('quiet', ['a0']));
});

/** Writes down what is fetched. */
function noting(): { readonly fetched: string[]; readonly tokens: Tokens } {
  const fetched: string[] = [];
  const server = {
    async token(instance: string, audience: readonly string[]) {
      fetched.push(`${instance} ${audience.join(' ')}`);
      return tokenFor(instance, audience);
    },
  } as NodeServer;
  return { fetched, tokens: new Tokens(server, 1000) };
}

test('instances that came and went before leave room for those that are there', async () => {
  const { fetched, tokens } = noting();
  for (let n = 0; n < 10_001; n++) await tokens.of(child(`gone-${n}`), ['a']);
  fetched.length = 0;
  const here = child('here');
  for (let n = 0; n < 3; n++) {
    await tokens.of(here, ['a']);
    await tokens.of(here, ['b']);
  }
  assert.deepEqual(fetched, ['here a', 'here b']);
});

test('an instance that asks for ever other audiences has so many kept, and takes none from others', async () => {
  const { fetched, tokens } = noting();
  const [greedy, other] = [child('greedy'), child('other')];
  await tokens.of(other, ['a']);
  for (let n = 0; n < 400; n++) await tokens.of(greedy, [String(n)]);
  fetched.length = 0;
  await tokens.of(other, ['a']);
  await tokens.of(greedy, ['399']);
  assert.deepEqual(fetched, []);
  await tokens.of(greedy, ['0']);
  assert.deepEqual(fetched, ['greedy 0']);
});
