import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type RequestOptions, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import type { EvidenceFault, Verified } from '../../src/attest/evidence.ts';
import { KeySets } from '../../src/attest/verifier/key-sets.ts';
import { oidcVerifier } from '../../src/attest/verifier/oidc.ts';
import { verifierParts } from '../../src/attest/verifier/testdata/verifier-parts.ts';
import { manualClock } from '../../src/base/clock.ts';
import { readCredential } from '../../src/cli/credential.ts';
import { encodePem } from '../../src/der/pem.ts';
import { outbound } from '../../src/http/outbound.ts';
import type { OidcParameters } from '../../src/wire/attestor.ts';
import { issue } from '../../src/x509/path/testdata/issue.ts';
import { type Said, testServer } from '../server.ts';
import { oidcProvider, pathOf, skipOf } from './tools.ts';

/* An issuer that nobody here wrote (`oidc-provider-mock`, on Authlib) as a process of its own, over TLS. */

const PROVIDER = oidcProvider();
const SUBJECT = 'agent-7';
const REDIRECT = 'https://client.example/back';

interface Provider extends AsyncDisposable {
  readonly issuer: string;
  /** PEM of the root that its server is trusted by. */
  readonly root: string;
  /** An ID token for a client, by the authorization code flow. */
  idToken(client: string): Promise<string>;
}

async function provider(): Promise<Provider> {
  const home = mkdtempSync(join(tmpdir(), 'writ-oidc-'));
  const lasting = { notBefore: Date.UTC(2020, 0), notAfter: Date.UTC(2049, 0) };
  const authority = issue('issuer root', { ca: true, ...lasting });
  const names = [{ kind: 'ip' as const, value: Uint8Array.of(127, 0, 0, 1) }];
  const server = issue('issuer', { issuer: authority, names, ...lasting });
  const [certificate, key, root] = [
    join(home, 'certificate'),
    join(home, 'key'),
    encodePem('CERTIFICATE', authority.certificate.raw),
  ];
  writeFileSync(certificate, encodePem('CERTIFICATE', server.certificate.raw));
  writeFileSync(key, server.key.privateKey.export({ type: 'pkcs8', format: 'pem' }));
  const script = resolve(import.meta.dirname, 'python/oidc-provider.py');
  const child = spawn(pathOf(PROVIDER), [script, certificate, key], { stdio: ['ignore', 'pipe', 'ignore'] });
  const ended = once(child, 'exit');
  const [first] = (await Promise.race([once(child.stdout, 'data'), ended])) as [Buffer | number];
  const issuer = `https://127.0.0.1:${Number(String(first).trim())}`;

  const send = async (
    path: string,
    form: Record<string, string>,
    headers = {},
  ): Promise<{ location: string; text: string }> => {
    const options: RequestOptions = {
      method: 'POST',
      ca: root,
      headers: { 'Content-Type': 'application/x-www-form-urlencoded', ...headers },
    };
    const sent = request(`${issuer}${path}`, options).end(new URLSearchParams(form).toString());
    const [answer] = (await once(sent, 'response')) as [import('node:http').IncomingMessage];
    const chunks: Buffer[] = [];
    for await (const chunk of answer) chunks.push(chunk as Buffer);
    return { location: answer.headers.location ?? '', text: Buffer.concat(chunks).toString() };
  };
  return {
    issuer,
    root,
    async idToken(client) {
      const asked = { client_id: client, redirect_uri: REDIRECT, response_type: 'code', scope: 'openid' };
      const query = new URLSearchParams(asked).toString();
      const { location } = await send(`/oauth2/authorize?${query}`, { sub: SUBJECT });
      const code = new URL(location).searchParams.get('code')!;
      const basic = { Authorization: `Basic ${Buffer.from(`${client}:secret`).toString('base64')}` };
      const grant = { grant_type: 'authorization_code', code, redirect_uri: REDIRECT };
      const { text } = await send('/oauth2/token', grant, basic);
      return (JSON.parse(text) as { id_token: string }).id_token;
    },
    async [Symbol.asyncDispose]() {
      child.kill();
      await ended;
      rmSync(home, { recursive: true });
    },
  };
}

const fetch = outbound({ allowHttp: false, allowNetworks: ['127.0.0.0/8'] }, 'test');
const faultOf = (verified: Verified): EvidenceFault | 'none' => (verified.accepted ? 'none' : verified.fault);

test('tokens of an issuer that runs by itself', { skip: skipOf(PROVIDER) }, async () => {
  await using issuer = await provider();
  const clock = manualClock(Date.now());
  const parts = { ...verifierParts(), clock, fetch };
  const { parse, verify } = oidcVerifier(new KeySets({ clock, fetch }));
  const usual: OidcParameters = { issuer: issuer.issuer, audience: 'writ', ca: [issuer.root] };
  const present = (token: string, change: Partial<OidcParameters> = {}): Promise<Verified> =>
    verify({ kind: 'oidc', attestor: 'test', token }, parse({ ...usual, ...change } as never), parts);

  const token = await issuer.idToken('writ');
  const verified = await present(token);
  assert.ok(verified.accepted, faultOf(verified));
  assert.deepEqual(verified.facts['oidc:sub'], [SUBJECT]);
  assert.deepEqual(verified.facts['oidc:iss'], [issuer.issuer]);
  assert.ok(verified.once!.until > clock.now());

  assert.equal(faultOf(await present(await issuer.idToken('somebody-else'))), 'wrong-audience');
  assert.equal(faultOf(await present(token, { algorithms: ['ES256'] })), 'wrong-algorithm');
  assert.equal(
    faultOf(await present(token, { ca: [encodePem('CERTIFICATE', issue('x', { ca: true }).certificate.raw)] })),
    'unreachable',
  );
  // A slash more is another issuer, whose discovery document this is not.
  assert.equal(faultOf(await present(token, { issuer: `${issuer.issuer}/` })), 'unreachable');

  // Another process has keys of its own.
  await using other = await provider();
  assert.notEqual(faultOf(await present(await other.idToken('writ'))), 'none');
  const elsewhere = await present(await other.idToken('writ'), { jwks_uri: `${other.issuer}/jwks`, ca: [other.root] });
  assert.equal(faultOf(elsewhere), 'wrong-issuer');

  clock.advance(2 * 3600_000);
  assert.equal(faultOf(await present(token)), 'expired');
});

test('a program is let in on a token of it, and on one for somebody else it is not', {
  skip: skipOf(PROVIDER),
}, async () => {
  await using issuer = await provider();
  let server = await testServer();
  const config = JSON.parse(readFileSync(join(server.data, 'config.json'), 'utf8')) as object;
  const reach = { attestation: { allowNetworks: ['127.0.0.0/8'] } };
  writeFileSync(join(server.data, 'config.json'), JSON.stringify({ ...config, ...reach }));
  server = await server.restart();
  const file = (name: string, content: string): string => {
    writeFileSync(join(server.scratch, name), content);
    return join(server.scratch, name);
  };
  await server.token('planner');
  const settings = [`issuer=${issuer.issuer}`, 'audience=writ', `ca=@${file('issuer.pem', issuer.root)}`];
  await server.json('attestor', 'add', 'mock', '--kind', 'oidc', ...settings.flatMap((one) => ['--set', one]));
  await server.json('entry', 'create', 'planner', '--attestor', 'mock', '--match', `oidc:sub=${SUBJECT}`);
  const root = file('root.pem', readCredential(server.operator).roots[0]!);
  const enrol = (token: string, out: string): Promise<Said> => {
    const evidence = ['--attestor', 'mock', '--evidence', 'oidc', '--evidence-token-file', file('token', token)];
    return server.cli('enrol', ...evidence, '--root', root, '--out', join(server.scratch, out), '--json');
  };
  const { code, stdout } = await enrol(await issuer.idToken('writ'), 'first');
  assert.equal(code, 0);
  assert.match((JSON.parse(stdout) as { spiffe_id: string }).spiffe_id, /\/agent\/planner\//);
  const refused = await enrol(await issuer.idToken('somebody-else'), 'second');
  assert.equal(refused.code, 5);
  assert.match(refused.stderr, /made out to the audience somebody-else/);
});
