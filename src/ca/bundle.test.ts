import assert from 'node:assert/strict';
import { createPublicKey, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { KEY_ALGORITHMS } from '../keys/generate.ts';
import { anchorsPem, spiffeBundle } from './bundle.ts';
import { makeChain } from './testdata/installation.ts';

for (const algorithm of KEY_ALGORITHMS) {
  test(`${algorithm}: anchors as PEM and as a SPIFFE bundle`, async () => {
    const { root, intermediate, issuing } = await makeChain(algorithm);
    const authorities = [issuing, intermediate, root];
    assert.deepEqual(new Uint8Array(new X509Certificate(anchorsPem(authorities)).raw), root.certificate.raw);
    const bundle = JSON.parse(JSON.stringify(spiffeBundle(authorities))) as ReturnType<typeof spiffeBundle>;
    assert.equal(bundle.keys.length, 1);
    const [key] = bundle.keys;
    assert.equal(key!['use'], 'x509-svid');
    assert.ok(!('kid' in key!));
    assert.deepEqual(Buffer.from((key!['x5c'] as string[])[0]!, 'base64'), Buffer.from(root.certificate.raw));
    const spki = createPublicKey({ key: key!, format: 'jwk' }).export({ type: 'spki', format: 'der' });
    assert.deepEqual(new Uint8Array(spki), root.certificate.spki);
    assert.equal(bundle.spiffe_sequence, root.createdAt);
    assert.ok(bundle.spiffe_refresh_hint > 0);
  });
}

test('the newest anchor comes first, and the sequence grows with it; none at all is an empty set', async () => {
  const { root } = await makeChain('ed25519');
  const newer = { ...root, id: 'newer', createdAt: root.createdAt + 1 };
  const bundle = spiffeBundle([root, newer]);
  assert.deepEqual([bundle.keys.length, bundle.spiffe_sequence], [2, root.createdAt + 1]);
  assert.equal(anchorsPem([root, newer]).match(/BEGIN CERTIFICATE/g)?.length, 2);
  assert.deepEqual([anchorsPem([]), spiffeBundle([]).keys], ['', []]);
});
