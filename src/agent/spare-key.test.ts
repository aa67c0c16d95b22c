/** Keys that are made before anybody asks. */
import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import { test } from 'node:test';
import { setImmediate as settled } from 'node:timers/promises';
import { decodePem } from '../der/pem.ts';
import { testAuthority } from '../http/testdata/authority.ts';
import { parseCsr } from '../x509/csr.ts';
import { type KeyWithRequest, spareKeys } from './spare-key.ts';

const root = testAuthority();
/** Its key is what counts. */
const quantum = root.leaf({ uri: 'spiffe://corp.example', key: 'ml-dsa-44' });

function algorithmOf({ key, csr }: KeyWithRequest): string {
  const { publicKey } = parseCsr(decodePem(csr, 'CERTIFICATE REQUEST'));
  const spki = new Uint8Array(createPublicKey(key).export({ type: 'spki', format: 'der' }));
  assert.deepEqual(publicKey.spki, spki, 'the request is for this key');
  return publicKey.algorithm;
}

test('no key is given twice, whoever asks when', async () => {
  const take = spareKeys();
  const taken = await Promise.all([take(root.pem), take(root.pem)]);
  await settled();
  taken.push(await take(root.pem), ...(await Promise.all([take(root.pem), take(root.pem)])));
  assert.deepEqual(taken.map(algorithmOf), Array(5).fill('ec-p256'));
  assert.equal(new Set(taken.map(({ csr }) => csr)).size, 5);
});

test('the next one is there before it is asked for, and no more than that', async () => {
  const made: string[] = [];
  const take = spareKeys(async (of) => {
    made.push(of);
    return {} as KeyWithRequest;
  });
  void take('root');
  assert.equal(made.length, 1);
  await settled();
  assert.equal(made.length, 2);
  void take('root');
  assert.equal(made.length, 2, 'who asks does not wait for its own');
  await settled();
  await settled();
  assert.equal(made.length, 3);
});

test('a key is of the kind of the root that is asked for, also after another one', async () => {
  const take = spareKeys();
  for (const { pem, kind } of [
    { pem: root.pem, kind: 'ec-p256' },
    { pem: quantum.pem, kind: 'ml-dsa-44' },
    { pem: root.pem, kind: 'ec-p256' },
  ]) {
    assert.equal(algorithmOf(await take(pem)), kind);
    await settled();
  }
});

test('a root that cannot be read is an error of whoever asks, each time', async () => {
  const take = spareKeys();
  for (let n = 0; n < 3; n++) {
    await assert.rejects(take('no certificate'));
    await settled();
  }
  assert.equal(algorithmOf(await take(root.pem)), 'ec-p256');
});
