import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { KEY_ALGORITHMS } from '../../keys/generate.ts';
import { makeChain } from '../testdata/installation.ts';
import { anchorsPem } from './pem.ts';

for (const algorithm of KEY_ALGORITHMS) {
  test(`${algorithm}: anchors as PEM`, async () => {
    const { root, intermediate, issuing } = await makeChain(algorithm);
    const pem = anchorsPem([issuing, intermediate, root]);
    assert.deepEqual(new Uint8Array(new X509Certificate(pem).raw), root.certificate.raw);
  });
}

test('all anchors are there, and none at all is an empty text', async () => {
  const { root } = await makeChain('ed25519');
  const newer = { ...root, id: 'newer', createdAt: root.createdAt + 1 };
  assert.equal(anchorsPem([root, newer]).match(/BEGIN CERTIFICATE/g)?.length, 2);
  assert.equal(anchorsPem([]), '');
});
