/**
 * What GnuTLS makes of chains under our authorities (docs/STATUS.md). It looks at no URI that is permitted, and takes one
 * that is excluded, as older authorities have it, for the exclusion of every URI.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text as streamText } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { createServer } from 'node:tls';
import { nameConstraintsFor } from '../../src/ca/authority/name-constraints.ts';
import type { LeafRequest } from '../../src/ca/certificate/prepare.ts';
import { signCrl } from '../../src/ca/crl/sign.ts';
import {
  type Chain,
  issueLeaf,
  leafRequest,
  makeChain,
  scopeOf,
  TRUST_DOMAIN,
} from '../../src/ca/testdata/installation.ts';
import { encodePem } from '../../src/der/pem.ts';
import { generateKey } from '../../src/keys/generate.ts';
import { localSigner } from '../../src/keys/local.ts';
import { serverId } from '../../src/spiffe-id/subject.ts';
import { encodeNameConstraints } from '../../src/x509/extensions/name-constraints.ts';
import { parsePublicKey } from '../../src/x509/public-key.ts';
import { forge, NAME_CASES, scratchFolder } from './certificates.ts';
import { certtool, gnutlsCli, openssl, pathOf, skipOf } from './tools.ts';

const [CERTTOOL, CLI, OPENSSL] = [certtool(), gnutlsCli(), openssl()];
const scratch = scratchFolder();
after(scratch.remove);
const at = (name: string): string => join(scratch.path, name);
const text = (...files: readonly string[]): string => files.map((file) => readFileSync(file, 'utf8')).join('');

const VIOLATES =
  "Not verified. The certificate is NOT trusted. The certificate chain violates the signer's constraints.";
const TRUSTED = 'Verified. The certificate is trusted.';
const REVOKED = 'Not verified. The certificate is NOT trusted. The certificate chain is revoked.';

/** The last word of `certtool` on a chain. */
function said(args: readonly string[]): string {
  const { stdout } = spawnSync(pathOf(CERTTOOL), args, { encoding: 'utf8' });
  return /^Chain verification output: (.*?)\s*$/m.exec(stdout)?.[1] ?? stdout;
}

interface Holder {
  readonly serial: Uint8Array;
  readonly certificate: string;
  /** With the authorities above, without the root. */
  readonly chain: string;
  readonly key: string;
}

const now = Date.now();
let made: Chain;
const file = (name: string, label: string, ...ders: readonly Uint8Array[]): string => {
  writeFileSync(at(name), ders.map((der) => encodePem(label, der)).join(''));
  return at(name);
};
async function holder(name: string, profile: string, change: Partial<LeafRequest> = {}, chain = made): Promise<Holder> {
  const key = await generateKey('ecdsa-p256');
  const request = { ...(await leafRequest(change)), key: parsePublicKey(localSigner(key).spki) };
  const { der, serial } = await issueLeaf(chain, request, { profile, now });
  writeFileSync(at(`${name}.key`), key.export({ type: 'pkcs8', format: 'pem' }));
  const above = [chain.issuing, chain.intermediate].map(({ certificate }) => certificate.raw);
  return {
    serial,
    certificate: file(`${name}.pem`, 'CERTIFICATE', der),
    chain: file(`${name}-chain.pem`, 'CERTIFICATE', der, ...above),
    key: at(`${name}.key`),
  };
}

let root: string;
let authorities: string;
let holders: Record<'server' | 'agent' | 'revoked', Holder>;
/** Lists of all authorities: of nobody, with the agent `revoked`, the server, the issuing authority. */
let lists: Record<'none' | 'leaf' | 'server' | 'authority', string>;

before(async () => {
  made = await makeChain('ecdsa-p256', scopeOf({ loopback: true }), now);
  root = file('root.pem', 'CERTIFICATE', made.root.certificate.raw);
  const all = [made.root, made.intermediate, made.issuing].map(({ certificate }) => certificate.raw);
  authorities = file('authorities.pem', 'CERTIFICATE', ...all);
  holders = {
    server: await holder('server', 'server', { id: serverId(TRUST_DOMAIN), dns: ['localhost'] }),
    agent: await holder('agent', 'agent'),
    revoked: await holder('revoked', 'agent'),
  };
  const list = async (name: string, leaf?: Uint8Array, authority?: Uint8Array): Promise<string> => {
    const crls: Uint8Array[] = [];
    for (const [issuer, serial] of [
      [made.issuers.root, undefined],
      [made.issuers.intermediate, authority],
      [made.issuer, leaf],
    ] as const) {
      const revoked =
        serial === undefined
          ? []
          : [{ serial, revokedAt: now - (now % 1000) - 60_000, reason: 'keyCompromise' } as const];
      crls.push((await signCrl(issuer, { number: now, lifetime: 86_400, revoked, now })).der);
    }
    return file(`${name}-crls.pem`, 'X509 CRL', ...crls);
  };
  lists = {
    none: await list('none'),
    leaf: await list('leaf', holders.revoked.serial),
    server: await list('server', holders.server.serial),
    authority: await list('authority', undefined, made.issuing.certificate.serial),
  };
});

test('certtool takes our chains, by whichever anchor', { skip: skipOf(CERTTOOL) }, () => {
  const { agent } = holders;
  writeFileSync(at('whole.pem'), text(agent.chain, root));
  assert.equal(said(['--verify-chain', '--infile', at('whole.pem')]), TRUSTED);
  const intermediate = file('intermediate.pem', 'CERTIFICATE', made.intermediate.certificate.raw);
  const issuing = file('issuing.pem', 'CERTIFICATE', made.issuing.certificate.raw);
  for (const [anchor, chain] of [
    [root, agent.chain],
    [intermediate, agent.chain],
    [issuing, agent.certificate],
  ] as const) {
    for (const options of [[], ['--verify-profile=medium'], ['--verify-purpose=1.3.6.1.5.5.7.3.2']]) {
      const verdict = said(['--verify', '--load-ca-certificate', anchor, '--infile', chain, ...options]);
      assert.equal(verdict, TRUSTED, `${anchor} ${options.join()}`);
    }
  }
});

test('certtool sees by the lists that a leaf or its authority is revoked', { skip: skipOf(CERTTOOL) }, () => {
  const verdict = ({ chain }: Holder, crls: string): string =>
    said(['--verify', '--load-ca-certificate', root, '--load-crl', crls, '--infile', chain]);
  const { agent, revoked } = holders;
  assert.deepEqual([verdict(agent, lists.none), verdict(revoked, lists.none)], [TRUSTED, TRUSTED]);
  assert.deepEqual([verdict(agent, lists.leaf), verdict(revoked, lists.leaf)], [TRUSTED, REVOKED]);
  assert.deepEqual([verdict(agent, lists.authority), verdict(revoked, lists.authority)], [REVOKED, REVOKED]);
});

test('certtool keeps the constraints, but for URIs', { skip: skipOf(CERTTOOL) }, async () => {
  for (const { name, valid, but, scope, names } of NAME_CASES) {
    const forged = await forge(scope, names, scratch.path);
    writeFileSync(at('named.pem'), text(forged.leaf, forged.untrusted));
    const verdict = said(['--verify', '--load-ca-certificate', forged.root, '--infile', at('named.pem')]);
    assert.equal(verdict, valid || but?.includes('gnutls') === true ? TRUSTED : VIOLATES, name);
  }
});

/** A server that wants a certificate of its clients and says again what they say, for as long as `use` runs. */
async function served(use: (port: number) => Promise<void>): Promise<void> {
  const { chain, key } = holders.server;
  const own = { cert: readFileSync(chain), key: readFileSync(key), ca: readFileSync(root) };
  const server = createServer({ ...own, requestCert: true, rejectUnauthorized: true }, (socket) => {
    socket.on('error', () => socket.destroy()).pipe(socket);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  try {
    await use((server.address() as AddressInfo).port);
  } finally {
    server.close();
  }
}

/**
 * Whether `gnutls-cli` goes on with the server at this port, having shown who it is. It reads only lists whose signers are
 * among its anchors, and looks at nothing above an anchor.
 */
async function calls(port: number, one: Holder, crls?: string): Promise<boolean> {
  const judging = crls === undefined ? [] : ['--x509crlfile', crls];
  const anchors = crls === undefined ? root : authorities;
  const own = ['--x509certfile', one.chain, '--x509keyfile', one.key, '--x509cafile', anchors, ...judging];
  const where = ['--verify-hostname=localhost', '--sni-hostname=localhost', '--port', `${port}`, '127.0.0.1'];
  const caller = spawn(pathOf(CLI), [...own, ...where], { stdio: ['pipe', 'pipe', 'ignore'], timeout: 10_000 });
  // It may be gone before it has read this.
  caller.stdin.on('error', () => undefined).end('anybody there?\n');
  const [said, [code]] = await Promise.all([streamText(caller.stdout), once(caller, 'exit')]);
  return code === 0 && said.includes('Handshake was completed') && said.includes('anybody there?');
}

test('gnutls-cli takes our chains, and none that a list revokes', { skip: skipOf(CLI) }, async () => {
  const { agent } = holders;
  const theirs = await forge({}, [], scratch.path);
  writeFileSync(at('theirs.pem'), text(theirs.leaf, theirs.untrusted));
  await served(async (port) => {
    assert.deepEqual([await calls(port, agent), await calls(port, agent, lists.none)], [true, true]);
    assert.equal(await calls(port, agent, lists.server), false, 'the certificate of the server is revoked');
    assert.equal(await calls(port, agent, lists.authority), false, 'its authority is');
    assert.equal(await calls(port, { ...agent, chain: at('theirs.pem'), key: theirs.key }), false);
  });
});

test('a chain below an older authority, which excludes a URI, GnuTLS refuses', { skip: skipOf(CERTTOOL) }, async () => {
  const { permitted, excluded } = nameConstraintsFor(scopeOf());
  const older = [{ kind: 'uri', value: '.agents.example.com' } as const, ...excluded];
  const constraints = encodeNameConstraints({ permitted, excluded: older });
  const chain = await makeChain('ecdsa-p256', scopeOf(), now, constraints);
  const { chain: leaf } = await holder('older', 'agent', {}, chain);
  const anchor = file('older-root.pem', 'CERTIFICATE', chain.root.certificate.raw);
  const verdict = said(['--verify', '--load-ca-certificate', anchor, '--infile', leaf]);
  // A GnuTLS that knows URIs may say otherwise.
  assert.ok(verdict === VIOLATES || verdict === TRUSTED, verdict);
});

test('it is the excluded URI that GnuTLS refuses, and no permitted one', {
  skip: skipOf(CERTTOOL) || skipOf(OPENSSL),
}, () => {
  const make = (...args: string[]) => execFileSync(pathOf(OPENSSL), args, { stdio: 'pipe' });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  writeFileSync(at('req.cnf'), '[req]\ndistinguished_name=name\n[name]\n');
  const verdict = (constraints: string): string => {
    const [anchor, request, leaf] = [at('their-root.pem'), at('leaf.csr'), at('leaf.pem')];
    const self = ['-config', at('req.cnf'), '-subj', '/CN=root', '-keyout', at('root.key'), '-out', anchor];
    make('req', '-x509', ...key, ...self, '-addext', 'basicConstraints=critical,CA:TRUE', '-addext', constraints);
    make('req', ...key, '-config', at('req.cnf'), '-subj', '/CN=x', '-keyout', at('leaf.key'), '-out', request);
    writeFileSync(at('leaf.ext'), 'subjectAltName=URI:spiffe://agents.example.com/agent/planner/1\n');
    const signed = ['-CA', anchor, '-CAkey', at('root.key'), '-extfile', at('leaf.ext')];
    make('x509', '-req', '-in', request, ...signed, '-out', leaf);
    return said(['--verify', '--load-ca-certificate', anchor, '--infile', leaf]);
  };
  const permitted = 'nameConstraints=critical,permitted;URI:agents.example.com';
  assert.equal(verdict(permitted), TRUSTED);
  assert.match(verdict(`${permitted},excluded;URI:.agents.example.com`), /constraints\.$|is trusted\.$/);
});
