import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isWritError } from '../base/error.ts';
import type { Child } from './child.ts';
import type { NodeServer } from './server.ts';
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
