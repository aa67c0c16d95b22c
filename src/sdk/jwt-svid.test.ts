/** Tokens between programs, over a running authority: fetched, kept, validated, and refused once their bearer is stopped. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { testServer } from '../../test/server.ts';
import { isWritError } from '../base/error.ts';
import { connect } from './enrolment/connect.ts';
import { jwtSvidsOf, jwtValidator } from './jwt-svid.ts';
import { createVerifier } from './verifier/verifier.ts';

const AUDIENCE = 'https://reports.example.com';
const server = await testServer();
const reports = await connect({ token: await server.token('reports', 'service') });
const planner = await connect({ token: await server.token('planner') });
after(() => {
  reports.close();
  planner.close();
});

test('a token that is fetched validates at whom it is for, and nowhere else', async () => {
  const { token, spiffeId, expiresAt } = await jwtSvidsOf(planner)(AUDIENCE);
  assert.equal(spiffeId, planner.spiffeId);
  const decision = await jwtValidator({ identity: reports, audience: AUDIENCE })(token);
  assert.ok(decision.allowed);
  assert.equal(decision.id.uri, planner.spiffeId);
  assert.equal(decision.expiresAt, expiresAt);
  const elsewhere = await jwtValidator({ identity: reports, audience: 'https://other.example.com' })(token);
  assert.deepEqual(elsewhere, { allowed: false, reason: 'audience' });
  const altered = `${token.slice(0, -4)}AAAA`;
  assert.deepEqual(await jwtValidator({ identity: reports, audience: AUDIENCE })(altered), {
    allowed: false,
    reason: 'signature',
  });
});

test('one token is given again for half of its life, to all who ask for the same', async () => {
  const tokens = jwtSvidsOf(planner);
  const [first, second] = await Promise.all([tokens(AUDIENCE), tokens([AUDIENCE, AUDIENCE])]);
  assert.equal(first.token, second.token);
  assert.equal((await tokens(AUDIENCE)).token, first.token);
  assert.notEqual((await tokens('https://other.example.com')).token, first.token);
  const both = await tokens(['b', 'a']);
  assert.equal((await tokens(['a', 'b'])).token, both.token);
});

test('a failure is not kept', async () => {
  const tokens = jwtSvidsOf(planner);
  const long = 'x'.repeat(600);
  await assert.rejects(tokens(long), (error) => isWritError(error, 'bad_request'));
  await assert.rejects(tokens(long), (error) => isWritError(error, 'bad_request'));
  const nowhere = jwtSvidsOf(planner, { server: 'https://127.0.0.1:1' });
  await assert.rejects(nowhere('a'), (error) => isWritError(error, 'unavailable'));
  const validate = jwtValidator({ identity: reports, audience: AUDIENCE, server: 'https://127.0.0.1:1' });
  assert.deepEqual(await validate('a.b.c'), { allowed: false, reason: 'unavailable' });
});

test('with a verifier the token of one that was stopped is refused, though it has not expired', async () => {
  const verifier = createVerifier({ identity: reports, mode: 'strict' });
  try {
    await verifier.ready(AbortSignal.timeout(10_000));
    const validate = jwtValidator({ identity: reports, audience: AUDIENCE, verifier });
    const doomed = await connect({ token: await server.token('planner') });
    const { token } = await jwtSvidsOf(doomed)(AUDIENCE);
    assert.equal((await validate(token)).allowed, true);
    await doomed.stop();
    const until = Date.now() + 5000;
    while ((await validate(token)).allowed && Date.now() < until)
      await new Promise((resolve) => setTimeout(resolve, 20));
    assert.deepEqual(await validate(token), { allowed: false, reason: 'stopped' });
    assert.equal(
      (await jwtValidator({ identity: reports, audience: AUDIENCE })(token)).allowed,
      true,
      'without, it is good',
    );
  } finally {
    verifier.close();
  }
});
