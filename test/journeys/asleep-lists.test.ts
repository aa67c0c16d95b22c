/** A server that slept past the end of what it publishes: what anybody is given afterwards is fresh. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { parseCertificate } from '../../src/x509/certificate.ts';
import { parseCrl } from '../../src/x509/crl.ts';
import { findExtension } from '../../src/x509/extension.ts';
import { CRL_NUMBER, decodeCrlNumber } from '../../src/x509/extensions/crl-number.ts';
import { encodeCertId } from '../../src/x509/ocsp-cert-id.ts';
import { encodeOcspRequest } from '../../src/x509/ocsp-request.ts';
import { judgeOcspResponse } from '../../src/x509/ocsp-verify.ts';
import type { RunningServer } from '../program.ts';
import { run, scratchDirectory } from './authority.ts';
import type { Leaf } from './clients.ts';
import { pointersOf } from './pointers.ts';
import { testClock } from './test-clock.ts';

const DAY_MS = 86_400_000;

const pathOf = (url: string): string => new URL(url).pathname;
const parse = (pem: string) => parseCertificate(new Uint8Array(new X509Certificate(pem).raw));

/** Paths of all lists that a chain is judged by: of the shard with its delta, of the whole, and of each authority. */
function listsOf({ certificate, chain }: Leaf): string[] {
  const { list, access } = pointersOf(certificate);
  const shard = pathOf(list);
  const full = pathOf(access.at(-1)!).replace(/^\/ca\/(.*)\.cer$/, '/crl/$1.crl');
  return [shard, shard.replace('/shard/', '/delta/'), full, ...chain.map((one) => pathOf(pointersOf(one).list))];
}

async function fetched(plain: string, path: string, now: number): Promise<{ number: number; serials: string[] }> {
  const answer = await fetch(plain + path);
  assert.equal(answer.status, 200, path);
  const crl = parseCrl(new Uint8Array(await answer.arrayBuffer()));
  assert.ok(crl.thisUpdate <= now && crl.nextUpdate! > now, `${path}: ${new Date(crl.nextUpdate!).toISOString()}`);
  const age = Number(/max-age=(\d+)/.exec(answer.headers.get('cache-control')!)![1]);
  assert.ok(now + age * 1000 <= crl.nextUpdate!, `${path} may be kept longer than it is good`);
  return {
    number: Number(decodeCrlNumber(findExtension(crl.extensions, CRL_NUMBER)!.value)),
    serials: crl.entries.map(({ serial }) => Buffer.from(serial).toString('hex')),
  };
}

async function statusOf(plain: string, { certificate, chain }: Leaf, now: number): Promise<string> {
  const [leaf, issuer] = [parse(certificate), parse(chain[0]!)];
  const body = Buffer.from(encodeOcspRequest([encodeCertId(leaf, issuer)]));
  const headers = { 'content-type': 'application/ocsp-request' };
  const answer = await fetch(`${plain}/ocsp`, { method: 'POST', body, headers });
  const judged = judgeOcspResponse(new Uint8Array(await answer.arrayBuffer()), { certificate: leaf, issuer, now });
  return judged.kind === 'refused' ? judged.why : judged.status.kind;
}

test('after a week, and after forty days, the first answer is fresh', async () => {
  const scratch = scratchDirectory();
  const clock = testClock(scratch);
  const data = join(scratch, 'writ-data');
  const first = await run(data, clock.options);
  const leaf = await first.letIn('planner');
  const paths = listsOf(leaf);
  assert.equal(paths.length, 5);
  await first.revoke(leaf.serial);
  const numbers = new Map<string, number>();
  for (const path of paths) {
    const { number } = await fetched(first.server.plain, path, Date.now());
    numbers.set(path, number);
  }
  await first.server.stop();

  for (const days of [7, 40]) {
    await clock.set(days * DAY_MS);
    const { server } = await run(data, clock.options);
    const now = (): number => Date.now() + days * DAY_MS;
    const [status, ...lists] = await Promise.all([
      statusOf(server.plain, leaf, now()),
      ...paths.map((path) => fetched(server.plain, path, now())),
    ]);
    assert.equal(status, 'revoked');
    for (const [i, path] of paths.entries()) {
      const { number } = lists[i]!;
      // Those of root and intermediate are good for longer, and signed anew when half of that is over.
      if (i < 3) assert.ok(number > numbers.get(path)!, path);
      assert.ok(number >= numbers.get(path)!, path);
      numbers.set(path, number);
    }
    // It expired long ago: on the first list after that it still is (RFC 5280 §3.3), and on no later one.
    assert.deepEqual(lists[0]!.serials, days === 7 ? [leaf.serial] : []);
    await server.stop();
  }
});

test('a key of tokens that grew old meanwhile is followed by another', async () => {
  const scratch = scratchDirectory();
  const clock = testClock(scratch);
  const data = join(scratch, 'writ-data');
  const first = await run(data, clock.options);
  await first.post('/v1/signals/streams', {});
  // By the clock of this process the certificate of the server that slept is not valid yet.
  const kids = async ({ open }: RunningServer): Promise<string[]> => {
    const asked = request(`${open}/v1/signals/jwks.json`, { rejectUnauthorized: false, agent: false }).end();
    const [answer] = (await once(asked, 'response')) as [IncomingMessage];
    const { keys } = JSON.parse((await answer.toArray()).join('')) as { keys: { kid: string }[] };
    return keys.map(({ kid }) => kid);
  };
  const [old, ...more] = await kids(first.server);
  assert.deepEqual(more, []);
  await first.server.stop();
  await clock.set(301 * DAY_MS);
  const { server } = await run(data, clock.options);
  let after: string[] = [];
  for (let tries = 0; after.length < 2 && tries < 200; tries++) {
    after = await kids(server);
    await pause(25);
  }
  assert.deepEqual([after.length, after[0]], [2, old]);
  await server.stop();
});
