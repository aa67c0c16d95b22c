import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { manualClock } from '../../base/clock.ts';
import { sha256 } from '../../base/sha256.ts';
import type { TpmEvidence } from '../../wire/attestation.ts';
import type { TpmParameters } from '../../wire/attestor.ts';
import { boundOctets } from '../../wire/bound-octets.ts';
import type { EvidenceFault, Verified } from '../evidence.ts';
import { noSwtpm, type Swtpm, swtpm } from './testdata/swtpm.ts';
import { CHALLENGE, verifierParts } from './testdata/verifier-parts.ts';
import { tpmVerifier } from './tpm.ts';

/* The whole exchange with a module that nobody here wrote. Its certificates are made now, so the clock is the machine's. */

const parts = { ...verifierParts(), clock: manualClock(Date.now() + 86_400_000) };
const bound = boundOctets(CHALLENGE, parts.spki);
const faultOf = (verified: Verified): EvidenceFault | 'none' => (verified.accepted ? 'none' : verified.fault);
const base64 = (octets: Uint8Array): string => Buffer.from(octets).toString('base64');

interface Kind {
  readonly name: string;
  readonly handle: string;
  readonly certificate: string;
  readonly attestation: readonly string[];
  readonly key: string;
  readonly sign: readonly string[];
}

const ALLOWED = 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign';
const KINDS: readonly Kind[] = [
  {
    name: 'RSA endorsement key, ECC keys',
    handle: '0x81010001',
    certificate: '0x1c00002',
    attestation: ['-G', 'ecc', '-g', 'sha256', '-s', 'ecdsa'],
    key: 'ecc256:ecdsa-sha256',
    sign: ['-g', 'sha256', '-s', 'ecdsa'],
  },
  {
    name: 'P-384 endorsement key, RSA keys',
    handle: '0x81010016',
    certificate: '0x1c00016',
    attestation: ['-G', 'rsa', '-g', 'sha256', '-s', 'rsassa'],
    key: 'rsa2048:rsapss-sha256:null',
    sign: ['-g', 'sha256', '-s', 'rsapss'],
  },
];

/** What the server makes out to the keys: credential blob and encrypted secret. */
function challengeFor({
  endorsement_key,
  attestation_key,
}: Pick<TpmEvidence, 'endorsement_key' | 'attestation_key'>): [Buffer, Buffer] {
  const asked = { attestor: 'test', endorsement_key, attestation_key };
  const made = tpmVerifier.challenge!(asked, {}, { challenge: CHALLENGE, derive: parts.derive })!;
  return [Buffer.from(made.credential_blob!, 'base64'), Buffer.from(made.encrypted_secret!, 'base64')];
}

/** All that a client does, in the order in which it does it. */
async function evidenceOf(tpm: Swtpm, { handle, certificate, attestation, key, sign }: Kind): Promise<TpmEvidence> {
  tpm.run('readpublic', '-c', handle, '-o', 'ek.pub');
  tpm.run('createak', '-C', handle, '-c', 'ak.ctx', ...attestation, '-u', 'ak.pub', '-n', 'ak.name');
  tpm.run('createprimary', '-C', 'o', '-c', 'primary.ctx');
  tpm.run('create', '-C', 'primary.ctx', '-G', key, '-a', ALLOWED, '-u', 'key.pub', '-r', 'key.priv', '-c', 'key.ctx');
  tpm.run('evictcontrol', '-C', 'o', '-c', 'ak.ctx', '0x81010100');
  tpm.run('evictcontrol', '-C', 'o', '-c', 'key.ctx', '0x81010101');
  const keys = { endorsement_key: base64(tpm.read('ek.pub')), attestation_key: base64(tpm.read('ak.pub')) };
  const secret = tpm.activate(handle, 'ak.ctx', ...challengeFor(keys));
  const [attested, signature] = await tpm.certify({ object: 0x8101_0101, key: 0x8101_0100 }, sha256(bound));
  tpm.write('message', bound);
  tpm.run('sign', '-c', 'key.ctx', ...sign, '-o', 'proof', 'message');
  return {
    kind: 'tpm',
    attestor: 'test',
    challenge: CHALLENGE,
    secret: base64(secret),
    ...keys,
    chain: [tpm.certificate(certificate), tpm.issuing],
    key: base64(tpm.read('key.pub')),
    attested: base64(attested),
    signature: base64(signature),
    proof: base64(tpm.read('proof')),
  };
}

const verify = (evidence: TpmEvidence, parameters: TpmParameters, change = parts): Promise<Verified> =>
  tpmVerifier.verify(evidence, tpmVerifier.parse(parameters as never), change);

describe('a module of swtpm', { skip: noSwtpm }, () => {
  for (const kind of KINDS) {
    test(`${kind.name}: is let in by what it proves, and by nothing else`, async () => {
      await using tpm = await swtpm();
      const evidence = await evidenceOf(tpm, kind);
      const roots = { roots: [tpm.root] };
      const verified = await verify(evidence, roots);
      assert.ok(verified.accepted, faultOf(verified));
      const { facts } = verified;
      assert.deepEqual(facts['tpm:manufacturer'], ['id:00001014']);
      assert.deepEqual(facts['tpm:model'], ['swtpm']);
      assert.match(facts['tpm:ek_sha256']![0]!, /^[0-9a-f]{64}$/);
      assert.equal(verified.reference, `endorsement key ${facts['tpm:ek_sha256']![0]}`);

      // The very key, with and without its manufacturer.
      const keys = { keys: facts['tpm:ek_sha256']! };
      assert.equal(faultOf(await verify(evidence, keys)), 'none');
      assert.equal(faultOf(await verify(evidence, { ...roots, ...keys })), 'none');
      assert.equal(faultOf(await verify(evidence, { ...roots, keys: ['00'.repeat(32)] })), 'not-admitted');

      // Another CSR.
      const other = { ...parts, spki: Buffer.from('another key') };
      assert.equal(faultOf(await verify(evidence, roots, other)), 'bad-challenge');

      // The secret for one attestation key, while the module holds another.
      tpm.run('createak', '-C', kind.handle, '-c', 'other.ctx', ...kind.attestation, '-u', 'other.pub', '-n', 'o.name');
      const [blob, wrapped] = challengeFor(evidence);
      assert.throws(() => tpm.activate(kind.handle, 'other.ctx', blob, wrapped), /integrity/i);
      assert.equal(base64(tpm.activate(kind.handle, 'ak.ctx', blob, wrapped)), evidence.secret);

      // Parts of what another module has.
      await using second = await swtpm();
      const theirs = await evidenceOf(second, kind);
      assert.equal(faultOf(await verify(theirs, roots)), 'untrusted-chain');
      for (const [change, fault] of [
        [{ secret: theirs.secret }, 'wrong-key'],
        [{ attestation_key: theirs.attestation_key }, 'wrong-key'],
        [{ endorsement_key: theirs.endorsement_key }, 'wrong-key'],
        [{ attested: theirs.attested, signature: theirs.signature }, 'bad-signature'],
        [{ key: theirs.key }, 'wrong-key'],
        [{ proof: theirs.proof }, 'bad-signature'],
        [{ key: theirs.key, proof: theirs.proof }, 'wrong-key'],
      ] as const) {
        assert.equal(
          faultOf(await verify({ ...evidence, ...change }, roots)),
          fault,
          JSON.stringify(Object.keys(change)),
        );
      }
    });
  }
});
