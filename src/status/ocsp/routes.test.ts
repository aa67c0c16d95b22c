import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Member, type OcspSite, ocspSite } from '../../../test/ocsp-site.ts';
import { activeOf } from '../../ca/authority.ts';
import { parseCertificate } from '../../x509/certificate.ts';
import { encodeCertId } from '../../x509/ocsp-cert-id.ts';
import { encodeOcspRequest } from '../../x509/ocsp-request.ts';
import { parseOcspResponse } from '../../x509/ocsp-response.ts';

let site: OcspSite;
let member: Member;
before(async () => {
  site = await ocspSite();
  member = await site.member('member');
});
after(() => site.close());

function question(nonce?: Uint8Array): Uint8Array {
  const issuer = activeOf(site.authority.authorities(), 'issuing')!.certificate;
  return encodeOcspRequest([encodeCertId(parseCertificate(member.der), issuer)], nonce);
}

const base64 = (octets: Uint8Array): string => Buffer.from(octets).toString('base64');
const get = (path: string, headers = {}) => fetch(`${site.url}/ocsp/${path}`, { headers });
const post = (body: Uint8Array, type = 'application/ocsp-request') =>
  fetch(`${site.url}/ocsp`, { method: 'POST', body: Buffer.from(body), headers: { 'content-type': type } });
const outcome = async (response: Response): Promise<string> => {
  const parsed = parseOcspResponse(new Uint8Array(await response.arrayBuffer()));
  return parsed.kind === 'fault' ? parsed.fault : parsed.basic.responses.map(({ status }) => status.kind).join();
};

test('a GET may be kept by whoever carries it, no longer than the answer is given again', async () => {
  const response = await get(encodeURIComponent(base64(question())));
  assert.equal(response.status, 200);
  const { headers } = response;
  assert.equal(headers.get('content-type'), 'application/ocsp-response');
  const cache = /^max-age=(\d+), public, no-transform, must-revalidate$/.exec(headers.get('cache-control')!);
  assert.ok(Number(cache![1]) <= 30 && Number(cache![1]) > 20, cache![0]);
  const body = new Uint8Array(await response.arrayBuffer());
  const parsed = parseOcspResponse(body);
  assert.ok(parsed.kind === 'basic');
  const [single] = parsed.basic.responses;
  assert.equal(Date.parse(headers.get('last-modified')!), single!.thisUpdate);
  assert.equal(Date.parse(headers.get('expires')!), single!.nextUpdate);
  assert.equal(single!.nextUpdate! - single!.thisUpdate, 60_000);
  assert.equal(Number(headers.get('content-length')), body.length);

  const head = await fetch(response.url, { method: 'HEAD' });
  const same = ['content-type', 'content-length', 'etag', 'last-modified', 'expires'];
  assert.deepEqual(
    same.map((name) => head.headers.get(name)),
    same.map((name) => headers.get(name)),
  );
  assert.deepEqual([head.status, (await head.arrayBuffer()).byteLength], [200, 0]);

  const tag = headers.get('etag')!;
  const other = await get(base64(question()), { 'if-none-match': '"another"' });
  assert.deepEqual([other.status, other.headers.get('etag')], [200, tag]);
  const again = await get(base64(question()), { 'if-none-match': tag });
  assert.equal(again.status, 304, 'also with what need not be encoded left as it is');
  assert.equal(again.headers.get('etag'), tag);
});

test('what has a nonce, and what is no answer, is kept by nobody', async () => {
  const own = await get(encodeURIComponent(base64(question(new Uint8Array(32).fill(1)))));
  assert.equal(own.headers.get('cache-control'), 'no-store');
  assert.equal(own.headers.get('etag'), null);
  assert.equal(await outcome(own), 'good');
  const posted = await post(question());
  assert.equal(posted.headers.get('cache-control'), 'no-store');
  assert.equal(await outcome(posted), 'good');
});

test('a path without its padding is read, one with anything else is malformed', async () => {
  const text = base64(question());
  assert.equal(await outcome(await get(text.replace(/=+$/, ''))), 'good');
  for (const bad of [
    '',
    '%zz',
    `${text.slice(0, -4)}@@@@`,
    `${text}A`,
    `${text.slice(0, 8)} ${text.slice(9)}`,
    'M'.repeat(2049),
    'MAA%3D',
  ]) {
    const response = await get(bad);
    assert.equal(response.status, 200, bad);
    assert.equal(await outcome(response), 'malformedRequest', bad);
    assert.equal(response.headers.get('cache-control'), 'no-store');
  }
});

test('a body is announced as what it is, and is no longer than a question may be', async () => {
  assert.equal((await post(question(), 'application/json')).status, 415);
  assert.equal((await post(new Uint8Array(8193))).status, 413);
  assert.equal(await outcome(await post(new Uint8Array(8192))), 'malformedRequest');
  assert.equal((await fetch(`${site.url}/ocsp`)).status, 405);
});
