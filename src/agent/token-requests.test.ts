import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { isWritError, WritError } from '../base/error.ts';
import { type CreateJwtSvids, type JwtSvids, MOST_JWT_SVIDS } from '../wire/jwt-svid.ts';
import { createTokenRequests, MOST_AT_ONCE } from './token-requests.ts';

const svidOf = ({ instance, audience }: CreateJwtSvids['tokens'][number]): JwtSvids['tokens'][number] => ({
  svid: { token: `${instance} for ${audience.join()}`, spiffe_id: 'spiffe://test/a', expires_at: '' },
});

test('what is wanted at one moment goes in few requests, a bounded number at once, and each gets its own', async () => {
  const sizes: number[] = [];
  let [under, most] = [0, 0];
  const token = createTokenRequests(async (wanted) => {
    sizes.push(wanted.length);
    under += 1;
    most = Math.max(most, under);
    await turn();
    under -= 1;
    return wanted.map(svidOf);
  });
  const tokens = await Promise.all(Array.from({ length: 1000 }, (_, n) => token(`${n}`, ['a', 'b'])));
  assert.deepEqual(
    tokens,
    Array.from({ length: 1000 }, (_, n) => `${n} for a,b`),
  );
  assert.equal(most, 4);
  assert.equal(MOST_AT_ONCE, MOST_JWT_SVIDS);
  assert.equal(Math.max(...sizes), MOST_AT_ONCE);
  assert.equal(sizes.length, 16);
});

test('a token that is refused is one’s own affair; a server that fails is everybody’s, and it goes on after', async () => {
  let down = false;
  const token = createTokenRequests(async (wanted) => {
    if (down) throw new WritError('unavailable', 'away');
    return wanted.map((one) =>
      one.instance === 'stopped'
        ? { fault: { code: 'revoked', detail: 'It was stopped.', remedy: 'None.' } }
        : svidOf(one),
    );
  });
  const [good, stopped] = await Promise.allSettled([token('good', ['a']), token('stopped', ['a'])]);
  assert.deepEqual(good, { status: 'fulfilled', value: 'good for a' });
  const error: unknown = stopped.status === 'rejected' ? stopped.reason : undefined;
  assert.ok(isWritError(error, 'revoked') && error.message === 'It was stopped.' && error.remedy === 'None.');
  down = true;
  const away = await Promise.allSettled(Array.from({ length: 300 }, (_, n) => token(`${n}`, ['a'])));
  assert.ok(away.every((one) => one.status === 'rejected' && isWritError(one.reason, 'unavailable')));
  down = false;
  assert.equal(await token('later', ['a']), 'later for a');
});

test('one that the server cannot read takes nothing from those that were asked for with it', async () => {
  const token = createTokenRequests(async (wanted) => {
    if (wanted.some(({ instance }) => instance === 'odd')) throw new WritError('bad_request', 'No audience of ours.');
    return wanted.map(svidOf);
  });
  const [one, odd, other] = await Promise.allSettled(['one', 'odd', 'other'].map((name) => token(name, ['a'])));
  assert.deepEqual([one!.status, other!.status], ['fulfilled', 'fulfilled']);
  assert.ok(odd!.status === 'rejected' && isWritError(odd!.reason, 'bad_request'));
});

test('an answer that lacks some is a failure of those', async () => {
  const token = createTokenRequests(async ([first]) => [svidOf(first!)]);
  const [one, other] = await Promise.allSettled([token('one', ['a']), token('other', ['a'])]);
  assert.equal(one.status, 'fulfilled');
  assert.ok(other.status === 'rejected' && isWritError(other.reason, 'internal'));
});
