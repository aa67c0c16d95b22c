/**
 * Everybody who judges the status of a certificate says of each status what the store says: one row a judge, one column
 * a status. Whoever reads a list knows nothing of what was never issued; whoever asks the responder does.
 */
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, request } from 'node:https';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { decodePem } from '../../src/der/pem.ts';
import { parseCertificate } from '../../src/x509/certificate.ts';
import { parseCrl } from '../../src/x509/crl.ts';
import { decodeReasonCode } from '../../src/x509/extensions/reason-code.ts';
import { judgeOcspResponse } from '../../src/x509/ocsp-verify.ts';
import type { Member } from '../ocsp-site.ts';
import { type Nginx, startNginx } from './nginx.ts';
import {
  ALL,
  BELOW,
  type ListFile,
  type Lists,
  STATUSES,
  type Status,
  type StatusSite,
  type Stored,
  statusSite,
} from './status-site.ts';
import { certtool, go, nginx, ocsptool, openssl, pathOf, skipOf, type Tool } from './tools.ts';

const run = promisify(execFile);
const [OPENSSL, CERTTOOL, OCSPTOOL, GO, NGINX] = [openssl(), certtool(), ocsptool(), go(), nginx()];

let all: StatusSite;
before(async () => {
  all = await statusSite();
  // What the store says, and so what everything below is about.
  const stored = async (statuses: readonly Status[]): Promise<Stored[]> =>
    Promise.all(statuses.map((status) => all.stored(all.members[status])));
  assert.deepEqual(await stored(STATUSES), ['good', 'held', 'revoked', 'good', 'unknown']);
  assert.deepEqual(await stored(BELOW), ['held', 'revoked', 'good']);
});
after(() => all.site.close());

/** What a judge can tell apart, and what it calls each thing that the store says. */
const WORDS = {
  /** Whoever asks the responder. */
  status: { good: 'good', held: 'held', revoked: 'revoked', unknown: 'unknown' },
  /** The same without the reason. */
  kind: { good: 'good', held: 'revoked', revoked: 'revoked', unknown: 'unknown' },
  /** Whoever lets in those alone of whom the responder says good. */
  asked: { good: 'in', held: 'out', revoked: 'out', unknown: 'out' },
  /** Whoever reads a list, with its reasons. */
  reason: { good: 'not listed', held: 'held', revoked: 'revoked', unknown: 'not listed' },
  /** The same without. */
  listed: { good: 'not listed', held: 'listed', revoked: 'listed', unknown: 'not listed' },
  /** Whoever lets in those who are on no list. */
  unlisted: { good: 'in', held: 'out', revoked: 'out', unknown: 'in' },
} as const satisfies Record<string, Record<Stored, string>>;

type Words = keyof typeof WORDS;
type Verdict = (typeof WORDS)[Words][Stored];
type Judge = (member: Member, status: Status) => Promise<Verdict> | Verdict;

/** A test a judge: its verdicts on all statuses against the store's. `prepare` may start what the judge needs. */
function judged(
  name: string,
  words: Words,
  needs: readonly Tool[],
  prepare: () => Promise<{ judge: Judge; end?: () => Promise<void> }> | { judge: Judge; end?: () => Promise<void> },
  statuses: readonly Status[] = ALL,
): void {
  const skip = needs.map(skipOf).find((reason) => reason !== false) ?? false;
  test(name, { skip }, async () => {
    const { judge, end } = await prepare();
    try {
      const verdicts: Record<string, string> = {};
      const store: Record<string, string> = {};
      for (const status of statuses) {
        const member = all.members[status];
        verdicts[status] = await judge(member, status);
        store[status] = WORDS[words][await all.stored(member)];
      }
      assert.deepEqual(verdicts, store);
    } finally {
      await end?.();
    }
  });
}

/** What a program says, on either stream, however it ends. */
async function said(tool: Tool, args: readonly string[]): Promise<string> {
  const running = run(pathOf(tool), args, { timeout: 20_000 });
  running.child.stdin!.end();
  const { stdout, stderr } = await running.catch((error: { stdout: string; stderr: string }) => error);
  return stdout + stderr;
}

const hex = ({ serial }: Member): string => Buffer.from(serial).toString('hex');

// ---- Those who ask the responder -----------------------------------------------------------------------------------

/** What `openssl ocsp` says of one certificate, behind what it was asked by: the name of its file. */
function inOpenssl(text: string, { certificate }: Pick<Member, 'certificate'>): Verdict {
  assert.match(text, /Response verify OK/);
  assert.doesNotMatch(text, /WARNING|[Ee]rror/);
  const at = text.indexOf(`${certificate}: `);
  assert.notEqual(at, -1, text);
  const [first = '', ...rest] = text.slice(at + certificate.length + 2).split('\n');
  const reason = rest.slice(0, 3).find((line) => line.includes('Reason: '));
  if (first !== 'revoked') return first as Verdict;
  return reason?.endsWith('certificateHold') === true ? 'held' : 'revoked';
}

/** One question is about certificates of one issuer. */
const aboutAll = (...options: readonly string[]): string[] => {
  const { site, members } = all;
  const certificates = STATUSES.flatMap((status) => ['-cert', members[status].certificate]);
  return ['ocsp', '-CAfile', site.authorities, '-issuer', site.issuing, ...options, ...certificates];
};

for (const [name, options] of [
  ['with a nonce', ['-nonce']],
  ['without a nonce', ['-no_nonce']],
  ['by SHA-256', ['-sha256', '-nonce']],
] as const) {
  const together = async (): Promise<{ judge: Judge }> => {
    const text = await said(OPENSSL, [...aboutAll(...options), '-url', `${all.site.url}/ocsp`]);
    return { judge: (member) => inOpenssl(text, member) };
  };
  judged(`openssl ocsp, all serials in one POST, ${name}`, 'status', [OPENSSL], together, STATUSES);
  const byNumber = async (): Promise<{ judge: Judge }> => {
    const { site, members } = all;
    const named = (member: Member): string => `0x${hex(member)}`;
    const serials = STATUSES.flatMap((status) => ['-serial', named(members[status])]);
    const about = ['-CAfile', site.authorities, '-issuer', site.issuing, ...options, ...serials];
    const text = await said(OPENSSL, ['ocsp', ...about, '-url', `${site.url}/ocsp`]);
    return { judge: (member) => inOpenssl(text, { certificate: named(member) }) };
  };
  judged(`openssl ocsp -serial, all in one POST, ${name}`, 'status', [OPENSSL], byNumber, STATUSES);
  judged(`openssl ocsp, one POST a serial, ${name}`, 'status', [OPENSSL], () => ({
    async judge(member) {
      const { authorities, issuer, certificate } = member;
      const args = ['ocsp', '-CAfile', authorities, '-issuer', issuer, ...options, '-cert', certificate];
      return inOpenssl(await said(OPENSSL, [...args, '-url', `${all.site.url}/ocsp`]), member);
    },
  }));
}

/** The question that OpenSSL asks about certificates, and a file with the answer to it by GET. */
async function answeredByGet(name: string, members: readonly Member[], options: readonly string[]): Promise<string> {
  const { site } = all;
  const [question, answer] = [join(site.folder, `${name}.req`), join(site.folder, `${name}.resp`)];
  const certificates = members.flatMap(({ certificate }) => ['-cert', certificate]);
  const asked = ['ocsp', '-issuer', members[0]!.issuer, ...options, ...certificates, '-reqout', question];
  await run(pathOf(OPENSSL), asked);
  const encoded = encodeURIComponent(readFileSync(question).toString('base64'));
  const response = await fetch(`${site.url}/ocsp/${encoded}`);
  assert.equal(response.headers.get('content-type'), 'application/ocsp-response');
  writeFileSync(answer, new Uint8Array(await response.arrayBuffer()));
  return answer;
}

for (const [name, options] of [
  ['with a nonce', ['-sha256', '-nonce']],
  ['without a nonce', ['-no_nonce']],
] as const) {
  judged(`openssl ocsp, one GET a serial, ${name}`, 'status', [OPENSSL], () => ({
    async judge(member, status) {
      const { issuer, authorities, certificate } = member;
      const answer = await answeredByGet(`get-${status}`, [member], options);
      const asked = ['-issuer', issuer, ...options.slice(0, -1), '-no_nonce', '-cert', certificate];
      const text = await said(OPENSSL, ['ocsp', '-CAfile', authorities, ...asked, '-respin', answer]);
      return inOpenssl(text, member);
    },
  }));
}

const inOneGet = async (): Promise<{ judge: Judge }> => {
  const members = STATUSES.map((status) => all.members[status]);
  const answer = await answeredByGet('get-all', members, ['-no_nonce']);
  const text = await said(OPENSSL, [...aboutAll('-no_nonce'), '-respin', answer]);
  return { judge: (member) => inOpenssl(text, member) };
};
judged('openssl ocsp, all serials in one GET', 'status', [OPENSSL], inOneGet, STATUSES);

function inOcsptool(text: string): Verdict {
  assert.match(text, /Verifying OCSP Response: Success/);
  return /Certificate Status: (\w+)/.exec(text)![1] as Verdict;
}

judged('ocsptool --ask with a nonce', 'kind', [OCSPTOOL], () => ({
  async judge({ certificate, issuer }) {
    const asked = ['--load-cert', certificate, '--load-issuer', issuer];
    return inOcsptool(await said(OCSPTOOL, [`--ask=${all.site.url}/ocsp`, '--nonce', ...asked]));
  },
}));

judged('ocsptool --verify-response on a GET', 'kind', [OPENSSL, OCSPTOOL], () => ({
  async judge(member, status) {
    const answer = await answeredByGet(`gnutls-${status}`, [member], ['-no_nonce']);
    const trusted = ['--load-trust', member.authorities];
    return inOcsptool(await said(OCSPTOOL, ['--verify-response', '--load-response', answer, ...trusted]));
  },
}));

const reasonOf = (code: string | undefined): Verdict => (code === '6' ? 'held' : 'revoked');

judged('Go x/crypto/ocsp', 'status', [OPENSSL, GO], async () => {
  const program = join(all.site.folder, 'judge-ocsp');
  await run(pathOf(GO), ['build', '-o', program, './ocsp'], { cwd: join(import.meta.dirname, 'go') });
  return {
    async judge(member, status) {
      const response = await answeredByGet(`go-${status}`, [member], ['-no_nonce']);
      const input = JSON.stringify({ response, cert: member.certificate, issuer: member.issuer });
      const [verdict, reason] = spawnSync(program, { input, encoding: 'utf8' }).stdout.trim().split(' ');
      return verdict === 'revoked' ? reasonOf(reason) : (verdict as Verdict);
    },
  };
});

judged('our own client', 'status', [OPENSSL], () => ({
  async judge(member, status) {
    const answer = readFileSync(await answeredByGet(`own-${status}`, [member], ['-no_nonce']));
    const issuer = parseCertificate(decodePem(readFileSync(member.issuer, 'utf8'), 'CERTIFICATE'));
    const verdict = judgeOcspResponse(answer, { certificate: parseCertificate(member.der), issuer, now: Date.now() });
    assert.ok(verdict.kind !== 'refused', JSON.stringify(verdict));
    if (verdict.status.kind !== 'revoked') return verdict.status.kind;
    return verdict.status.reason === 'certificateHold' ? 'held' : 'revoked';
  },
}));

/** A server's own credential: that of a client serves, since clients here look at nothing but whether they are let in. */
const own = (): Member => all.members.good;
const admission = (server: Nginx): { judge: Judge; end: () => Promise<void> } => ({
  async judge(member) {
    const status = await server.visit(member);
    assert.ok(status === 200 || status === 400, `${status}`);
    return status === 200 ? 'in' : 'out';
  },
  end: () => server[Symbol.asyncDispose](),
});

const withOcsp = ({ folder, authorities, url }: StatusSite['site']): Promise<Nginx> =>
  startNginx(folder, own(), [
    `ssl_client_certificate ${authorities};`,
    'ssl_verify_depth 4;',
    'ssl_ocsp on;',
    `ssl_ocsp_responder ${url}/ocsp;`,
  ]);

judged('nginx with ssl_ocsp', 'asked', [NGINX], async () => admission(await withOcsp(all.site)));

test('nginx with ssl_ocsp refuses at once whom it let in before', { skip: skipOf(NGINX) }, async () => {
  const { site } = all;
  await using server = await withOcsp(site);
  const late = await site.member('late');
  assert.equal(await server.visit(late), 200);
  await site.hold(late);
  assert.equal(await server.visit(late), 400);
  await site.release(late);
  assert.equal(await server.visit(late), 200);
  await site.revoke(late);
  assert.equal(await server.visit(late), 400);
});

// ---- Those who read a list -----------------------------------------------------------------------------------------

/** What one who reads lists finds of a serial number (hex) in one of them. */
type Reader = (list: ListFile) => Promise<(serial: string) => Verdict>;

/** Reads the list of a certificate's issuer, and that of the one above about the issuer itself. */
const readingBoth = (name: 'full' | 'shard', read: Reader): { judge: Judge } => ({
  async judge(member, status) {
    const own = (await read(all.listsOf[status][name]))(hex(member));
    return own === 'not listed' ? (await read(all.intermediate))(all.issuerOf(member)) : own;
  },
});

for (const name of ['full', 'shard'] as const) {
  judged(`openssl crl, ${name}`, 'reason', [OPENSSL], () =>
    readingBoth(name, async ({ pem, issuer }) => {
      const text = await said(OPENSSL, ['crl', '-in', pem, '-noout', '-text', '-CAfile', issuer]);
      assert.match(text, /^verify OK$/m);
      const entries = text.split('Serial Number: ').slice(1);
      return (serial) => {
        const entry = entries.find((one) => one.toLowerCase().startsWith(serial));
        if (entry === undefined) return 'not listed';
        return entry.includes('Certificate Hold') ? 'held' : 'revoked';
      };
    }),
  );
  judged(`certtool --crl-info, ${name}`, 'listed', [CERTTOOL], () =>
    readingBoth(name, async ({ pem, issuer }) => {
      const verify = ['--verify-crl', '--load-ca-certificate', issuer, '--infile', pem];
      assert.match(await said(CERTTOOL, verify), /Verification output: (The certificate chain is trusted|Verified)/);
      const text = await said(CERTTOOL, ['--crl-info', '--infile', pem]);
      return (serial) => (text.includes(serial) ? 'listed' : 'not listed');
    }),
  );
  judged(`Go crypto/x509 RevocationList, ${name}`, 'reason', [OPENSSL, GO], async () => {
    const program = join(all.site.folder, 'judge-crl');
    await run(pathOf(GO), ['build', '-o', program, '.'], { cwd: join(import.meta.dirname, 'go-crl') });
    return readingBoth(name, async ({ der, issuer: pem }) => {
      const issuer = join(all.site.folder, 'issuer.cer');
      await run(pathOf(OPENSSL), ['x509', '-in', pem, '-outform', 'DER', '-out', issuer]);
      const { stdout } = await run(program, [der, issuer]);
      const { entries } = JSON.parse(stdout) as { entries: Record<string, number> };
      return (serial) => (serial in entries ? reasonOf(String(entries[serial])) : 'not listed');
    });
  });
  judged(`our own reader, ${name}`, 'reason', [], () =>
    readingBoth(name, async ({ der }) => {
      const { entries } = parseCrl(readFileSync(der));
      return (serial) => {
        const entry = entries.find((one) => Buffer.from(one.serial).toString('hex') === serial);
        if (entry === undefined) return 'not listed';
        return decodeReasonCode(entry.extensions[0]!.value) === 'certificateHold' ? 'held' : 'revoked';
      };
    }),
  );
}

for (const [name, options, pick, statuses = ALL] of [
  ['the whole list', [], ({ full }) => [full]],
  ['the list of the shard', ['-extended_crl'], ({ shard }) => [shard]],
  ['list and delta', ['-extended_crl', '-use_deltas'], ({ shard, delta }) => [shard, delta]],
  // Nobody below a stopped authority was on an older list.
  [
    'an older list with the delta',
    ['-extended_crl', '-use_deltas'],
    ({ delta }) => [all.before.shard, delta],
    STATUSES,
  ],
] as const satisfies readonly [
  string,
  readonly string[],
  (lists: Lists) => readonly ListFile[],
  (readonly Status[])?,
][]) {
  const judge = (): { judge: Judge } => {
    const { site, above } = all;
    const file = join(site.folder, 'lists.pem');
    return {
      async judge({ certificate, authorities }, status) {
        const lists = [...above, ...pick(all.listsOf[status])];
        writeFileSync(file, lists.map(({ pem }) => readFileSync(pem, 'utf8')).join(''));
        const chain = ['-CAfile', site.root, '-untrusted', authorities, '-CRLfile', file];
        const text = await said(OPENSSL, [
          'verify',
          '-crl_check_all',
          '-x509_strict',
          ...options,
          ...chain,
          certificate,
        ]);
        if (text === `${certificate}: OK\n`) return 'in';
        const depth = BELOW.some((one) => one === status) ? 1 : 0;
        assert.match(text, new RegExp(`^error 23 at ${depth} depth lookup: certificate revoked$`, 'm'));
        return 'out';
      },
    };
  };
  judged(`openssl verify -crl_check_all -x509_strict, ${name}`, 'unlisted', [OPENSSL], judge, statuses);
}

/** The whole lists of all authorities, with this one of the ordinary one's. */
const listsFor = (full: ListFile): string[] =>
  [...all.above, full, ...BELOW.map((status) => all.listsOf[status].full)].map(({ pem }) => readFileSync(pem, 'utf8'));

judged('certtool --verify with the whole lists', 'unlisted', [CERTTOOL], () => {
  const file = join(all.site.folder, 'gnutls-lists.pem');
  writeFileSync(file, listsFor(all.now.full).join(''));
  return {
    async judge({ chain }) {
      const args = ['--verify', '--load-ca-certificate', all.site.root, '--load-crl', file, '--infile', chain];
      const verdict = /^Chain verification output: (.*?)\s*$/m.exec(await said(CERTTOOL, args))?.[1];
      if (verdict === 'Verified. The certificate is trusted.') return 'in';
      assert.equal(verdict, 'Not verified. The certificate is NOT trusted. The certificate chain is revoked.');
      return 'out';
    },
  };
});

judged('Node with the whole list', 'unlisted', [], async () => {
  const { site, now } = all;
  const credential = { cert: readFileSync(own().chain), key: readFileSync(own().key) };
  const server = createServer(
    {
      ...{ ...credential, ca: readFileSync(site.root), crl: listsFor(now.full) },
      ...{ requestCert: true, rejectUnauthorized: true },
    },
    (_, response) => response.end('in'),
  );
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as { port: number };
  return {
    judge: ({ chain, key }) =>
      new Promise<Verdict>((resolve) => {
        const tls = { cert: readFileSync(chain), key: readFileSync(key), rejectUnauthorized: false, agent: false };
        request({ host: '127.0.0.1', port, ...tls }, (answer) =>
          resolve(answer.resume().statusCode === 200 ? 'in' : 'out'),
        )
          .on('error', () => resolve('out'))
          .end();
      }),
    end: async () => void server.close(),
  };
});

judged('nginx with ssl_crl, reloaded after the revocation', 'unlisted', [NGINX], async () => {
  const { site, members, before: old, now } = all;
  const lists = join(site.folder, 'nginx-lists.pem');
  const load = (full: ListFile): void => writeFileSync(lists, listsFor(full).join(''));
  load(old.full);
  const server = await startNginx(site.folder, own(), [
    `ssl_client_certificate ${site.root};`,
    'ssl_verify_depth 3;',
    `ssl_crl ${lists};`,
  ]);
  const verdicts = async () => Promise.all(STATUSES.map((status) => server.visit(members[status])));
  try {
    assert.deepEqual(await verdicts(), [200, 200, 200, 400, 200], 'as the older list has it');
    load(now.full);
    await server.reload();
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
  return admission(server);
});
