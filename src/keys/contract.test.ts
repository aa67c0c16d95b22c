import assert from 'node:assert/strict';
import { createPublicKey, type KeyObject, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { isWritError } from '../base/error.ts';
import { verifySignature } from '../x509/algorithm.ts';
import { parsePublicKey } from '../x509/public-key.ts';
import { generateKey, generateRsaKey, KEY_ALGORITHMS } from './generate.ts';
import { localSigner } from './local.ts';
import type { Signer } from './signer.ts';

/** What every signer keeps, whatever holds its key. `make` gives a new one each time, all of one key. */
function contract(name: string, make: () => Promise<Signer>): void {
  test(`${name}: signs many messages, in order, each for itself`, async () => {
    const signer = await make();
    const messages = [new Uint8Array(0), randomBytes(1), randomBytes(700), randomBytes(70_000)];
    const signatures = await signer.sign(messages);
    const key = parsePublicKey(signer.spki);
    assert.equal(signatures.length, messages.length);
    for (const [i, message] of messages.entries()) {
      for (const [j, signature] of signatures.entries()) {
        assert.equal(verifySignature(signer.algorithm, key, message, signature), i === j, `${i} with ${j}`);
      }
    }
    await signer.close();
  });

  test(`${name}: calls in flight do not disturb each other`, async () => {
    const signer = await make();
    const key = parsePublicKey(signer.spki);
    const messages = Array.from({ length: 16 }, (_, n) => Buffer.from(`message ${n}`));
    const signed = await Promise.all(messages.map((message) => signer.sign([message])));
    for (const [n, message] of messages.entries()) {
      assert.ok(verifySignature(signer.algorithm, key, message, signed[n]![0]!));
    }
    assert.deepEqual(await signer.sign([]), []);
    await signer.close();
  });

  test(`${name}: signs nothing once closed, and closes twice without complaint`, async () => {
    const signer = await make();
    await signer.close();
    await signer.close();
    await assert.rejects(signer.sign([Buffer.from('late')]), (error) => isWritError(error, 'signer_failed'));
  });
}

for (const algorithm of KEY_ALGORITHMS) {
  const key = await generateKey(algorithm);
  contract(`local ${algorithm}`, async () => localSigner(key));
}

const rsa = await generateRsaKey();
contract('local rsa', async () => localSigner(rsa));

test('a key goes to a thread by structured clone, and signs there', async () => {
  const key = await generateKey('ecdsa-p256');
  const worker = new Worker(new URL('./testdata/sign-in-thread.ts', import.meta.url));
  const message = Buffer.from('from elsewhere');
  worker.postMessage({ key, message });
  const [signature] = await new Promise<Uint8Array[]>((resolve, reject) => {
    worker.once('message', resolve).once('error', reject);
  });
  await worker.terminate();
  const { algorithm, spki } = localSigner(key);
  assert.ok(verifySignature(algorithm, parsePublicKey(spki), message, signature!));
});

test('refuses keys that are not private, and kinds that Writ does not sign with', async () => {
  const { generateKeyPairSync } = await import('node:crypto');
  const p256 = await generateKey('ecdsa-p256');
  const refused: KeyObject[] = [
    createPublicKey(p256),
    generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey,
    generateKeyPairSync('ec', { namedCurve: 'P-521' }).privateKey,
    generateKeyPairSync('x25519').privateKey,
  ];
  for (const key of refused)
    assert.throws(
      () => localSigner(key),
      (error) => isWritError(error, 'signer_failed'),
    );
});
