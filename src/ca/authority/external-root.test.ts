import assert from 'node:assert/strict';
import { onBothEngines, type StoreParts } from '../../../test/stores.ts';
import { type ManualClock, manualClock } from '../../base/clock.ts';
import { isWritError } from '../../base/error.ts';
import { newBatch } from '../../db/batch.ts';
import { generateKey } from '../../keys/generate.ts';
import type { Keyring } from '../../keys/keyring.ts';
import { localSigner } from '../../keys/local.ts';
import type { Signer } from '../../keys/signer.ts';
import { type Certificate, parseCertificate } from '../../x509/certificate.ts';
import { type Csr, parseCsr, verifyCsr } from '../../x509/csr.ts';
import type { Extension } from '../../x509/extension.ts';
import { encodeAuthorityKeyIdentifier } from '../../x509/extensions/authority-key-identifier.ts';
import { encodeBasicConstraints } from '../../x509/extensions/basic-constraints.ts';
import { encodeKeyUsage } from '../../x509/extensions/key-usage.ts';
import { encodeNameConstraints } from '../../x509/extensions/name-constraints.ts';
import { encodeSubjectKeyIdentifier } from '../../x509/extensions/subject-key-identifier.ts';
import { encodeName } from '../../x509/name.ts';
import { keyIdentifier, parsePublicKey } from '../../x509/public-key.ts';
import { assembleCertificate, encodeTbsCertificate } from '../../x509/tbs-certificate.ts';
import { activeOf, chainOf } from '../authority.ts';
import { type Hierarchy, readHierarchy } from '../hierarchy.ts';
import { builtInProfiles } from '../profile/profile.ts';
import { cheapKeyring, committed, DAY, random, START, scopeOf } from '../testdata/installation.ts';
import { createBelowExternalRoot } from './create.ts';
import { dueItems } from './due.ts';
import { importIntermediate, requestIntermediate } from './external-root.ts';
import { maintain } from './maintain.ts';

const BASIC = '2.5.29.19';
const USAGE = '2.5.29.15';
const CONSTRAINTS = '2.5.29.30';
const profiles = builtInProfiles({ dns: [], networks: [] });
const act = { caller: 'system:administrator', random };

/** An authority of somebody else, who signs whatever we let them. */
interface Foreign {
  readonly certificate: Certificate;
  readonly signer: Signer;
}

interface Wish {
  readonly subject: Uint8Array;
  readonly spki: Uint8Array;
  readonly extensions: readonly Extension[];
  readonly days?: number;
}

async function sign(above: Foreign | undefined, signer: Signer, wish: Wish): Promise<Certificate> {
  const identifier = (spki: Uint8Array) => keyIdentifier(parsePublicKey(spki));
  const tbs = encodeTbsCertificate({
    serial: Uint8Array.of(1, ...random(8)),
    algorithm: signer.algorithm,
    issuer: above?.certificate.subject.raw ?? wish.subject,
    notBefore: START - 250 - DAY,
    notAfter: START - 250 + (wish.days ?? 1000) * DAY,
    subject: wish.subject,
    spki: wish.spki,
    extensions: [
      ...wish.extensions,
      { oid: '2.5.29.14', critical: false, value: encodeSubjectKeyIdentifier(identifier(wish.spki)) },
      { oid: '2.5.29.35', critical: false, value: encodeAuthorityKeyIdentifier(identifier(signer.spki)) },
    ],
  });
  const [signature] = await signer.sign([tbs]);
  return parseCertificate(assembleCertificate(tbs, signer.algorithm, signature!));
}

const AUTHORITY: readonly Extension[] = [
  { oid: BASIC, critical: true, value: encodeBasicConstraints({ ca: true }) },
  { oid: USAGE, critical: true, value: encodeKeyUsage(['keyCertSign', 'cRLSign']) },
];

async function foreign(name: string, above?: Foreign): Promise<Foreign> {
  const signer = localSigner(await generateKey('ecdsa-p384'));
  const subject = encodeName([['CN', name]]);
  const wish = { subject, spki: signer.spki, extensions: AUTHORITY, days: 4000 };
  return { certificate: await sign(above, above?.signer ?? signer, wish), signer };
}

/** What the owner of the root answers: as asked, but for what `change` does to the extensions. */
async function answer(
  csr: Csr,
  above: Foreign,
  change: { extensions?: (asked: readonly Extension[]) => readonly Extension[]; days?: number } = {},
): Promise<Certificate> {
  const { extensions = (asked) => asked, days } = change;
  return sign(above, above.signer, {
    subject: csr.subject.raw,
    spki: csr.publicKey.spki,
    extensions: extensions(csr.extensions),
    ...(days === undefined ? {} : { days }),
  });
}

interface Own {
  readonly keyring: Keyring;
  readonly csr: Csr;
  readonly clock: ManualClock;
}

async function installBelow(parts: StoreParts): Promise<Own> {
  const batch = newBatch();
  const keyring = await cheapKeyring(batch, START);
  const options = { scope: scopeOf(), algorithm: 'ecdsa-p256', profiles, keyring, now: START, ...act } as const;
  const csr = parseCsr(await createBelowExternalRoot(batch, options));
  await committed(parts, batch);
  return { keyring, csr, clock: manualClock(START) };
}

const read = async (parts: StoreParts): Promise<Hierarchy> => (await readHierarchy(parts.database))!;

async function importChain(parts: StoreParts, own: Own, ...certificates: Certificate[]): Promise<void> {
  const batch = newBatch();
  const options = { certificates, profiles, keyring: own.keyring, now: own.clock.now(), ...act };
  await importIntermediate(batch, parts.database, await read(parts), options);
  await committed(parts, batch);
}

onBothEngines('the request asks for what our own root would grant', async (parts) => {
  const { csr } = await installBelow(parts);
  verifyCsr(csr);
  assert.deepEqual(
    csr.extensions.map(({ oid, critical }) => [oid, critical]),
    [
      [BASIC, true],
      [USAGE, true],
      [CONSTRAINTS, true],
      ['2.5.29.17', false],
    ],
  );
  const hierarchy = await read(parts);
  assert.deepEqual([hierarchy.root, hierarchy.authorities.length], ['external', 0]);
  assert.deepEqual(hierarchy.request?.csr, csr.raw);
  const [item] = dueItems(hierarchy, { now: START, issuingLifetime: 120 * 86_400 });
  assert.deepEqual([item?.what, item?.command], ['import', 'writ ca import CHAIN.pem']);
});

onBothEngines(
  'the answer becomes the intermediate, with all above it, and an issuing authority below',
  async (parts) => {
    const own = await installBelow(parts);
    const root = await foreign('Company Root');
    const policy = await foreign('Company Policy CA', root);
    const signed = await answer(own.csr, policy);
    await importChain(parts, own, root.certificate, signed, policy.certificate);
    const { authorities, request, crls } = await read(parts);
    assert.equal(request, undefined);
    const issuing = activeOf(authorities, 'issuing')!;
    assert.deepEqual(
      chainOf(authorities, issuing.id).map(({ kind }) => kind),
      ['issuing', 'intermediate', 'upstream'],
    );
    assert.deepEqual(activeOf(authorities, 'root')!.certificate.raw, root.certificate.raw);
    assert.deepEqual(
      crls.map(({ authority }) => authority),
      [activeOf(authorities, 'intermediate')!.id],
    );
    const created = parts.events.filter(({ type }) => type === 'authority.created');
    assert.deepEqual(
      created.map(({ body }) => body['kind']),
      ['root', 'upstream', 'intermediate', 'issuing'],
    );
  },
);

onBothEngines('what cannot carry what hangs on it is refused, and nothing is recorded', async (parts) => {
  const own = await installBelow(parts);
  const root = await foreign('Company Root');
  const without =
    (...oids: string[]) =>
    (asked: readonly Extension[]) =>
      asked.filter(({ oid }) => !oids.includes(oid));
  const instead = (oid: string, value: Uint8Array) => (asked: readonly Extension[]) =>
    asked.map((extension) => (extension.oid === oid ? { ...extension, value } : extension));
  const elsewhere = encodeNameConstraints({ permitted: [{ kind: 'uri', value: 'example.org' }], excluded: [] });
  const table: [string, RegExp, Parameters<typeof answer>[2]][] = [
    ['no authority', /no authority/, { extensions: without(BASIC, CONSTRAINTS, USAGE) }],
    [
      'no room below',
      /path length/,
      { extensions: instead(BASIC, encodeBasicConstraints({ ca: true, pathLength: 0 })) },
    ],
    ['no lists', /key usage/, { extensions: instead(USAGE, encodeKeyUsage(['keyCertSign'])) }],
    ['another domain', /would not validate/, { extensions: instead(CONSTRAINTS, elsewhere) }],
    ['expired', /does not validate/, { days: -0.5 }],
  ];
  for (const [name, message, change] of table) {
    const signed = await answer(own.csr, root, change);
    await assert.rejects(
      importChain(parts, own, signed, root.certificate),
      (error) => isWritError(error, 'bad_certificate') && message.test(error.message),
      name,
    );
  }
  const signed = await answer(own.csr, root);
  const other = await foreign('Another Root');
  for (const chain of [[signed], [root.certificate], [signed, other.certificate], []]) {
    await assert.rejects(importChain(parts, own, ...chain), (error) => isWritError(error, 'bad_certificate'));
  }
  assert.equal((await read(parts)).authorities.length, 0);
  await importChain(parts, own, signed, root.certificate);
  await assert.rejects(importChain(parts, own, signed, root.certificate), (error) => isWritError(error, 'conflict'));
});

onBothEngines('the next intermediate: announced, requested, imported under the same root alone', async (parts) => {
  const own = await installBelow(parts);
  const root = await foreign('Company Root');
  await importChain(parts, own, await answer(own.csr, root), root.certificate);
  const first = activeOf((await read(parts)).authorities, 'intermediate')!;
  own.clock.set(START + 825 * DAY);
  await maintain({ ...own, reader: parts.database, commit: parts.commit, random });
  const [item] = dueItems(await read(parts), { now: own.clock.now(), issuingLifetime: 120 * 86_400 });
  assert.deepEqual([item?.what, item?.command], ['intermediate', 'writ ca request FILE.csr']);

  const request = async (): Promise<Csr> => {
    const batch = newBatch();
    const options = { keyring: own.keyring, now: own.clock.now(), ...act };
    const csr = await requestIntermediate(batch, await read(parts), options);
    await committed(parts, batch);
    return parseCsr(csr);
  };
  const dropped = await request();
  const csr = await request();
  const other = await foreign('Another Root');
  const refused = (wanted: string) => (error: unknown) => isWritError(error) && error.code === wanted;
  await assert.rejects(
    importChain(parts, own, await answer(dropped, root), root.certificate),
    refused('bad_certificate'),
  );
  await assert.rejects(importChain(parts, own, await answer(csr, other), other.certificate), refused('conflict'));
  await importChain(parts, own, await answer(csr, root, { days: 2000 }), root.certificate);
  const { authorities } = await read(parts);
  const next = activeOf(authorities, 'intermediate')!;
  assert.notEqual(next.id, first.id);
  assert.equal(authorities.filter(({ kind }) => kind === 'root').length, 1);
  own.clock.advance(100 * DAY);
  await maintain({ ...own, reader: parts.database, commit: parts.commit, random });
  const after = await read(parts);
  assert.equal(activeOf(after.authorities, 'issuing')!.issuer, next.id);
});
