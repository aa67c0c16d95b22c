/** The rules of SPIFFE Federation and of SPIFFE Trust Domain and Bundle, each with its clause. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type ConnectionOptions, connect } from 'node:tls';
import { isWritError } from '../../src/base/error.ts';
import { silentLog } from '../../src/base/log.ts';
import { keepSvidKeys, rotateSvidKey } from '../../src/ca/bundle/svid-keys.ts';
import { SVID_KEYS, tokenSigner } from '../../src/ca/jwt/key.ts';
import { openSqlite } from '../../src/db/sqlite.ts';
import { validateJwtSvid } from '../../src/jwt/jwt-svid.ts';
import { parseSpiffeBundle } from '../../src/jwt/spiffe-bundle.ts';
import { type Door, openDoor } from '../../src/rest/testdata/door.ts';
import { type Federation, listFederations, readFederation } from '../../src/spiffe/federation.ts';
import { type FetchParts, fetchBundle } from '../../src/spiffe/fetch-bundle.ts';
import { authoritiesIn, judgeBundle, type OwnTrust } from '../../src/spiffe/judge-bundle.ts';
import {
  addFederation,
  type FederationInput,
  type FederationParts,
  removeFederation,
  replaceBundle,
} from '../../src/spiffe/manage.ts';
import { authoritiesOf, pollFederations } from '../../src/spiffe/poll.ts';
import { parseTrustDomain, type TrustDomain } from '../../src/spiffe-id/trust-domain.ts';
import { parseCertificate } from '../../src/x509/certificate.ts';
import { leafId, validateSvid } from '../../src/x509/svid.ts';
import { ADA, createInstallation, type Installation } from '../installation.ts';
import { certificate } from './certificate.ts';
import { type Endpoint, endpoint, foreign, jwtKey, LOOPBACK, serving, x509Key } from './endpoint.ts';
import { signedToken } from './token.ts';

const PARTNER = 'partner.example' as TrustDomain;
const SERVER_ID = `spiffe://${PARTNER}/bundle/server`;
const OWN: OwnTrust = { trustDomain: parseTrustDomain('agents.example.com'), keys: [] };
const text = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const parse = (value: unknown) => parseSpiffeBundle(text(value), 'bundle');
const partner = foreign();
const web = foreign('A public authority');
const webServer = web.leaf({ uri: 'https://unused.example', loopback: true });
const svidServer = partner.leaf({ uri: SERVER_ID });

const fetching = (more: Partial<FetchParts> = {}): FetchParts => ({
  allowed: LOOPBACK,
  roots: [web.pem],
  authorities: async (domain) => (domain === PARTNER ? [parseCertificate(partner.der)] : undefined),
  now: Date.now,
  timeout: 2000,
  ...more,
});
const WEB = { profile: 'https_web' } as const;
const SPIFFE = { profile: 'https_spiffe', endpointId: SERVER_ID } as const;
const faultOf = (fetched: Awaited<ReturnType<typeof fetchBundle>>): string =>
  fetched.fetched ? 'none' : fetched.fault;

describe('bundles', () => {
  const bundle = { spiffe_sequence: 7, spiffe_refresh_hint: 60, keys: [x509Key(partner), jwtKey('a').jwk] };

  test('bundle §4.1: members that nobody knows are no obstacle, and none but keys is demanded', () => {
    const parsed = parse({ ...bundle, 'x-colour': 'blue' });
    assert.deepEqual([parsed.sequence, parsed.refreshHint, parsed.keys.length], [7, 60, 2]);
    const bare = parse({ keys: bundle.keys });
    assert.deepEqual([bare.sequence, bare.refreshHint], [undefined, undefined]);
  });

  test('bundle §4.1.1: the sequence is a whole number that only grows', () => {
    const judge = (sequence: unknown) =>
      judgeBundle(text({ ...bundle, spiffe_sequence: sequence }), { sequence: 7, keys: [] }, OWN);
    assert.ok(judge(8).taken && judge(7).taken && judge(2 ** 53 - 1).taken);
    assert.deepEqual(judge(6), { taken: false, fault: 'sequence_back' });
    for (const bad of ['8', 8.5, -1, 2 ** 53, null]) assert.deepEqual(judge(bad), { taken: false, fault: 'malformed' });
    assert.deepEqual(judge(undefined), { taken: false, fault: 'sequence_missing' });
  });

  test('bundle §4.1.2: the refresh hint is a whole number', () => {
    for (const bad of ['60', 0.5, -1]) assert.throws(() => parse({ ...bundle, spiffe_refresh_hint: bad }));
  });

  test('bundle §4.1.3: keys is there, and is a list', () => {
    for (const bad of [{}, { keys: {} }, { keys: 'x' }, { keys: null }, []]) {
      assert.throws(
        () => parse(bad),
        (error) => isWritError(error, 'bad_config'),
      );
    }
  });

  test('bundle §4.1.3: keys of unknown kinds and uses are passed over', () => {
    const { kty: _, ...without } = jwtKey('c').jwk;
    const odd = [
      { ...jwtKey('b').jwk, kty: 'XYZ' },
      without,
      { ...jwtKey('d').jwk, use: 'wit-svid' },
      { kty: 'OKP', crv: 'Ed25519', x: 'AA', kid: 'e', use: 'jwt-svid' },
    ];
    assert.equal(parse({ keys: [...odd, ...bundle.keys] }).keys.length, 2);
  });

  test('bundle §4.1.3: a bundle without keys is a good one, by which nothing is believed', () => {
    const judged = judgeBundle(text({ spiffe_sequence: 8, keys: [] }), { sequence: 7, keys: bundle.keys }, OWN);
    assert.ok(judged.taken && judged.changed);
    assert.deepEqual(authoritiesIn(judged.bundle), []);
    const token = signedToken(jwtKey('a').privateKey, { kid: 'a' }, { sub: `spiffe://${PARTNER}/x`, aud: 'b' });
    const result = validateJwtSvid(token, { keys: () => parse(judged.bundle).jwtKeys, audience: 'b', now: Date.now() });
    assert.equal(result.ok, false);
  });

  test('bundle §4.2.1: a key without kind is passed over', () => {
    const { kty: _, ...without } = x509Key(partner);
    assert.deepEqual(parse({ keys: [without] }).keys, []);
  });

  test('bundle §4.2.2: a key without use, or with a use in other letters, is passed over', () => {
    const { use: _, ...without } = jwtKey('a').jwk;
    for (const key of [without, { ...without, use: 'JWT-SVID' }, { ...without, use: 'sig' }]) {
      assert.deepEqual(parse({ keys: [key] }).keys, []);
    }
  });

  test('bundle §6.3: a member that stands twice makes a bundle no bundle', () => {
    assert.throws(() => parseSpiffeBundle(Buffer.from('{"keys":[],"keys":[]}'), 'bundle'));
    assert.throws(() => parseSpiffeBundle(Buffer.from('{"keys":[{"kty":"EC","kty":"RSA"}]}'), 'bundle'));
  });

  test('X.509-SVID §6.2: an authority without certificate is passed over, and of several certificates the first counts', () => {
    const { x5c: _, ...without } = x509Key(partner);
    assert.deepEqual(parse({ keys: [without, { ...without, x5c: [] }] }).authorities, []);
    const first = Buffer.from(partner.der).toString('base64');
    const [only] = parse({ keys: [{ ...without, x5c: [first, 'not base64!'] }] }).authorities;
    assert.deepEqual(only, partner.der);
  });

  test('X.509-SVID §6.2: what is no authority is none, though it stands in a bundle', () => {
    const leaf = partner.leaf({ uri: `spiffe://${PARTNER}/x` });
    const judged = judgeBundle(text({ keys: [x509Key(leaf)] }), undefined, OWN);
    assert.ok(judged.taken);
    assert.deepEqual(authoritiesIn(judged.bundle), []);
  });

  test('a private key in a bundle makes it no bundle, and is not kept', () => {
    const { privateKey } = jwtKey('a');
    const jwk = { ...privateKey.export({ format: 'jwk' }), kid: 'a', use: 'jwt-svid' };
    assert.deepEqual(judgeBundle(text({ keys: [jwk] }), undefined, OWN), { taken: false, fault: 'malformed' });
  });

  test('a foreign domain that claims our own trust domain is refused, by name or by key', () => {
    const uris = ['spiffe://agents.example.com', 'spiffe://agents.example.com/', 'SPIFFE://Agents.Example.com'];
    for (const uri of uris) {
      const named = { keys: [x509Key(namedAuthority(uri))] };
      assert.deepEqual(judgeBundle(text(named), undefined, OWN), { taken: false, fault: 'own_domain' }, uri);
    }
    assert.ok(judgeBundle(text({ keys: [x509Key(namedAuthority(`spiffe://${PARTNER}`))] }), undefined, OWN).taken);
    const spki = parseCertificate(partner.der).spki;
    const ours = { ...OWN, keys: [spki] };
    assert.deepEqual(judgeBundle(text({ keys: [x509Key(partner)] }), undefined, ours), {
      taken: false,
      fault: 'own_domain',
    });
    const { jwk } = jwtKey('ours');
    const [key] = parse({ keys: [jwk] }).jwtKeys;
    const tokens = { ...OWN, keys: [new Uint8Array(key!.key.export({ type: 'spki', format: 'der' }))] };
    assert.deepEqual(judgeBundle(text({ keys: [jwk] }), undefined, tokens), { taken: false, fault: 'own_domain' });
  });
});

/** An authority that names a trust domain. */
function namedAuthority(uri: string): { readonly der: Uint8Array } {
  return certificate({ uris: [uri], ca: true });
}

describe('fetching', () => {
  let server: Endpoint;
  let svid: Endpoint;
  before(async () => {
    server = await endpoint(
      webServer,
      serving(() => ({ keys: [] })),
    );
    svid = await endpoint(
      svidServer,
      serving(() => ({ keys: [] })),
    );
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
    await svid[Symbol.asyncDispose]();
  });

  test('federation §5.2.1.1, §5.2.2.1: the URL is https and has no user', async () => {
    for (const profile of [WEB, SPIFFE]) {
      for (const url of [
        `http://127.0.0.1:${server.port}/`,
        `https://u:p@127.0.0.1:${server.port}/`,
        `https://u@127.0.0.1:${server.port}/`,
        'file:///etc/passwd',
        'x',
      ]) {
        assert.equal(faultOf(await fetchBundle({ ...profile, url }, fetching())), 'url', url);
      }
    }
  });

  test('federation §5.2.1.4: a GET for the path of the URL, query included, without anything of ours', async () => {
    const fetched = await fetchBundle({ ...WEB, url: `https://127.0.0.1:${server.port}/a/b?c=d` }, fetching());
    assert.ok(fetched.fetched);
    assert.deepEqual(JSON.parse(Buffer.from(fetched.octets).toString()), { keys: [] });
    assert.equal(server.asked.at(-1), '/a/b?c=d');
    assert.equal(server.clientCertificates.at(-1), 0);
  });

  test('federation §5.2.1.4: the certificate leads to a trusted root and has the host’s name (RFC 6125)', async () => {
    assert.equal(faultOf(await fetchBundle({ ...WEB, url: server.url }, fetching({ roots: [] }))), 'identity');
    const elsewhere = await endpoint(
      web.leaf({ uri: 'https://x.example', dns: ['bundle.example'] }),
      serving(() => ({ keys: [] })),
    );
    assert.equal(faultOf(await fetchBundle({ ...WEB, url: elsewhere.url }, fetching())), 'identity');
    const asked = elsewhere.asked.length;
    assert.equal(asked, 0, 'nothing is asked before the server has proved who it is');
    const resolve: NonNullable<FetchParts['resolve']> = (_host, _options, callback) =>
      callback(null, [{ address: '127.0.0.1', family: 4 }]);
    const named = `https://bundle.example:${elsewhere.port}/`;
    assert.equal(faultOf(await fetchBundle({ ...WEB, url: named }, fetching({ resolve }))), 'none');
    assert.equal(
      faultOf(await fetchBundle({ ...WEB, url: named.replace('bundle', 'other') }, fetching({ resolve }))),
      'identity',
    );
    await elsewhere[Symbol.asyncDispose]();
    const expired = await endpoint(
      web.leaf({ uri: 'https://x.example', loopback: true, lifetime: -60_000 }),
      serving(() => ({ keys: [] })),
    );
    assert.equal(faultOf(await fetchBundle({ ...WEB, url: expired.url }, fetching())), 'identity');
    await expired[Symbol.asyncDispose]();
  });

  test('federation §5.2.2.4: the server’s certificate is a valid X.509-SVID with the configured id', async () => {
    assert.equal(faultOf(await fetchBundle({ ...SPIFFE, url: svid.url }, fetching())), 'none');
    const other = { ...SPIFFE, endpointId: `spiffe://${PARTNER}/bundle/other`, url: svid.url };
    assert.equal(faultOf(await fetchBundle(other, fetching())), 'identity');
    const cases = {
      'of another trust domain': foreign('Other').leaf({ uri: 'spiffe://other.example/bundle/server' }),
      'by an authority of nobody': foreign('Impostor').leaf({ uri: SERVER_ID }),
      expired: partner.leaf({ uri: SERVER_ID, lifetime: -60_000 }),
      'without SPIFFE ID': partner.leaf({ uri: 'https://partner.example' }),
    };
    for (const [name, shown] of Object.entries(cases)) {
      const bad = await endpoint(
        shown,
        serving(() => ({ keys: [] })),
      );
      assert.equal(faultOf(await fetchBundle({ ...SPIFFE, url: bad.url }, fetching())), 'identity', name);
      assert.deepEqual(bad.asked, [], `${name}: nothing is asked before the server has proved who it is`);
      await bad[Symbol.asyncDispose]();
    }
  });

  test('federation §5.2.2.4: an endpoint of another trust domain is known by that domain’s bundle alone', async () => {
    const hub = foreign('Hub');
    const hubServer = await endpoint(
      hub.leaf({ uri: 'spiffe://hub.example/bundles' }),
      serving(() => ({ keys: [] })),
    );
    const target = { profile: 'https_spiffe', endpointId: 'spiffe://hub.example/bundles', url: hubServer.url } as const;
    assert.equal(faultOf(await fetchBundle(target, fetching())), 'identity', 'nothing is known of that trust domain');
    const authorities: FetchParts['authorities'] = async (domain) =>
      domain === 'hub.example' ? [parseCertificate(hub.der)] : [parseCertificate(partner.der)];
    assert.equal(faultOf(await fetchBundle(target, fetching({ authorities }))), 'none');
    const swapped: FetchParts['authorities'] = async (domain) =>
      domain === 'hub.example' ? [parseCertificate(partner.der)] : [parseCertificate(hub.der)];
    assert.equal(faultOf(await fetchBundle(target, fetching({ authorities: swapped }))), 'identity');
    await hubServer[Symbol.asyncDispose]();
  });

  test('federation §7.2: no profile falls back to the other', async () => {
    assert.equal(faultOf(await fetchBundle({ ...SPIFFE, url: server.url }, fetching())), 'identity');
    assert.equal(faultOf(await fetchBundle({ ...WEB, url: svid.url }, fetching())), 'identity');
  });

  test('federation §5.2.1.4: a redirect is followed, to an https URL whose server proves itself as well', async () => {
    const front = await endpoint(webServer, (request, response) => {
      const targets: Record<string, string> = {
        '/good': server.url,
        '/relative': '/good',
        '/plain': `http://127.0.0.1:${server.port}/`,
        '/user': `https://u@127.0.0.1:${server.port}/`,
        '/stranger': svid.url,
        '/loop': '/loop',
      };
      response.writeHead(307, { Location: targets[request.url!]! }).end();
    });
    const follow = async (path: string): Promise<string> =>
      faultOf(await fetchBundle({ ...WEB, url: `https://127.0.0.1:${front.port}${path}` }, fetching()));
    assert.equal(await follow('/good'), 'none');
    assert.equal(await follow('/relative'), 'none');
    assert.equal(await follow('/plain'), 'url');
    assert.equal(await follow('/user'), 'url');
    assert.equal(await follow('/stranger'), 'identity');
    assert.equal(await follow('/loop'), 'status');
    await front[Symbol.asyncDispose]();
  });

  test('federation §5.2.2.4: a redirect leads to a server with the same SPIFFE ID', async () => {
    const other = await endpoint(
      partner.leaf({ uri: `spiffe://${PARTNER}/other` }),
      serving(() => ({ keys: [] })),
    );
    const front = await endpoint(svidServer, (request, response) => {
      response.writeHead(302, { Location: request.url === '/same' ? svid.url : other.url }).end();
    });
    const at = (path: string) => ({ ...SPIFFE, url: `https://127.0.0.1:${front.port}${path}` });
    assert.equal(faultOf(await fetchBundle(at('/same'), fetching())), 'none');
    assert.equal(faultOf(await fetchBundle(at('/other'), fetching())), 'identity');
    await front[Symbol.asyncDispose]();
    await other[Symbol.asyncDispose]();
  });

  test('time and size are bounded, and other answers are no bundles', async () => {
    const odd = await endpoint(webServer, (request, response) => {
      if (request.url === '/silent') return;
      if (request.url === '/drips') {
        response.writeHead(200);
        const timer = setInterval(() => response.write(' '), 50);
        response.on('close', () => clearInterval(timer));
        return;
      }
      if (request.url === '/large') {
        response.writeHead(200).end(Buffer.alloc(262_145, 0x20));
        return;
      }
      response.writeHead(Number(request.url!.slice(1))).end('{"keys":[]}');
    });
    const ask = async (path: string): Promise<string> =>
      faultOf(await fetchBundle({ ...WEB, url: `https://127.0.0.1:${odd.port}${path}` }, fetching({ timeout: 500 })));
    assert.equal(await ask('/silent'), 'timeout');
    assert.equal(await ask('/drips'), 'timeout');
    assert.equal(await ask('/large'), 'too_large');
    for (const status of [201, 204, 304, 404, 500]) assert.equal(await ask(`/${status}`), 'status', `${status}`);
    await odd[Symbol.asyncDispose]();
    assert.equal(await ask('/200'), 'unreachable');
  });

  test('no request goes to this machine or its network unless that is allowed, also not by name or redirect', async () => {
    const { addressRule } = await import('../../src/http/outbound-address.ts');
    const allowed = addressRule({ allowHttp: false, allowNetworks: [] }, 'x');
    const resolve: NonNullable<FetchParts['resolve']> = (_host, _options, callback) =>
      callback(null, [{ address: '127.0.0.1', family: 4 }]);
    for (const url of [
      server.url,
      `https://[::1]:${server.port}/`,
      'https://169.254.169.254/',
      'https://10.0.0.1/',
      `https://evil.example:${server.port}/`,
    ]) {
      const asked = server.asked.length;
      assert.equal(faultOf(await fetchBundle({ ...WEB, url }, fetching({ allowed, resolve }))), 'url', url);
      assert.equal(server.asked.length, asked);
    }
  });
});

describe('relationships', () => {
  let installation: Installation;
  let served: { spiffe_sequence?: number; spiffe_refresh_hint?: number; keys: unknown[] };
  let site: Endpoint;
  let parts: FederationParts;
  const folder = mkdtempSync(join(tmpdir(), 'writ-federation-'));
  const database = openSqlite({ path: join(folder, 'writ.db') });

  before(async () => {
    installation = await createInstallation(database, { start: Date.now() });
    site = await endpoint(
      svidServer,
      serving(() => served),
    );
    const { commit, clock } = installation;
    const authorize = () => ({ allowed: true, rules: [], policyVersion: 1 }) as const;
    parts = {
      ...{ reader: database, authorize, commit, clock, allowed: LOOPBACK, own: async () => OWN },
      recordRefusal: installation.refusals.record,
    };
    served = { spiffe_sequence: 1, spiffe_refresh_hint: 120, keys: [x509Key(partner), jwtKey('k').jwk] };
  });
  after(async () => {
    await site[Symbol.asyncDispose]();
    await installation.close();
    await database.close();
    rmSync(folder, { recursive: true });
  });

  const poll = (): Promise<number> =>
    pollFederations({
      ...{ reader: database, commit: installation.commit, clock: installation.clock, own: async () => OWN },
      fetch: (one) => fetchBundle(one, fetching({ authorities: (domain) => authoritiesOf(database, domain) })),
      jitter: () => 0,
      log: silentLog,
    });
  const stored = async (): Promise<Federation> => (await readFederation(database, PARTNER))!;
  const input = (more: Partial<FederationInput> = {}): FederationInput => ({
    ...{ trustDomain: PARTNER, url: site.url, profile: 'https_spiffe', endpointId: SERVER_ID },
    bundle: JSON.stringify({ keys: [x509Key(partner)] }),
    ...more,
  });
  const refused = (more: Partial<FederationInput>, field: string) =>
    assert.rejects(
      addFederation(ADA, input(more), parts),
      (error) => isWritError(error) && error.field === field,
      field,
    );
  const without = (name: 'bundle' | 'endpointId'): FederationInput => {
    const { [name]: _, ...rest } = input();
    return rest;
  };

  test('federation §5.1: trust domain, URL and profile are all said, and none is guessed (§7.2)', async () => {
    await refused({ trustDomain: '' }, '/trust_domain');
    await refused({ trustDomain: 'Partner.Example' }, '/trust_domain');
    await refused({ url: 'http://partner.example/' }, '/url');
    await refused({ url: 'https://user@partner.example/' }, '/url');
    await refused({ url: 'https://10.0.0.1/' }, '/url');
  });

  test('one’s own trust domain is nobody to federate with, and who tries is on the ledger', async () => {
    const claims = [
      [{ trustDomain: 'agents.example.com' }, '/trust_domain', 'agents.example.com'],
      [
        { bundle: JSON.stringify({ keys: [x509Key(namedAuthority('spiffe://agents.example.com'))] }) },
        '/bundle',
        PARTNER,
      ],
    ] as const;
    for (const [more, field, domain] of claims) {
      const seen = (await installation.events()).length;
      await refused(more, field);
      assert.deepEqual(await claimed(seen), [domain]);
    }
  });

  /** The trust domains in whose name somebody claimed ours, as the ledger has it since then. */
  const claimed = async (seen: number): Promise<readonly string[]> => {
    await installation.refusals.flush(true);
    return (await installation.events(seen))
      .filter(({ type, body }) => type === 'access.refused' && body['action'] === 'federation.manage')
      .map(({ subjects, body }) => {
        assert.deepEqual([body['caller'], body['fault']], [ADA.id, 'own_domain']);
        return subjects[0]!.replace('federation:', '');
      });
  };

  test('federation §5.2.1.2: https_web needs nothing more', async () => {
    await refused({ profile: 'https_web' }, '/endpoint_id');
    const made = await addFederation(ADA, { trustDomain: 'web.example', url: site.url, profile: 'https_web' }, parts);
    await removeFederation(ADA, made.trustDomain, parts);
  });

  test('federation §5.2.2.2: https_spiffe needs the server’s id, and a bundle or a domain that is known already', async () => {
    await assert.rejects(
      addFederation(ADA, without('endpointId'), parts),
      (error) => isWritError(error) && error.field === '/endpoint_id',
    );
    await refused({ endpointId: `spiffe://${PARTNER}` }, '/endpoint_id');
    await refused({ endpointId: 'https://x' }, '/endpoint_id');
    await assert.rejects(
      addFederation(ADA, without('bundle'), parts),
      (error) => isWritError(error) && error.field === '/bundle',
    );
    await refused({ bundle: 'not a bundle' }, '/bundle');
  });

  test('federation §6.1: the first bundle is fetched with the one that was given', async () => {
    await addFederation(ADA, input(), parts);
    assert.equal((await stored()).source, 'given');
    await assert.rejects(addFederation(ADA, input(), parts), (error) => isWritError(error, 'conflict'));
    assert.equal(await poll(), 1);
    const { source, bundle, fault } = await stored();
    assert.deepEqual([source, bundle?.sequence, bundle?.keys.length, fault], ['fetched', 1, 2, undefined]);
  });

  test('federation §4.1: it is fetched again when the refresh hint says, and after five minutes without one', async () => {
    const next = (await stored()).pollAt - installation.clock.now();
    assert.equal(next, 120_000);
    assert.equal(await poll(), 0);
    installation.advance(120_000);
    const { spiffe_refresh_hint: _, ...plain } = served;
    served = { ...plain, spiffe_sequence: 2 };
    assert.equal(await poll(), 1);
    assert.equal((await stored()).pollAt - installation.clock.now(), 300_000);
    for (const [hint, seconds] of [
      [1, 60],
      [10_000_000, 86_400],
    ] as const) {
      served = { ...served, spiffe_sequence: served.spiffe_sequence! + 1, spiffe_refresh_hint: hint };
      installation.clock.set((await stored()).pollAt);
      await poll();
      assert.equal((await stored()).pollAt - installation.clock.now(), seconds * 1000, `${hint}`);
    }
    installation.clock.set(Date.now() + 3_600_000);
  });

  const due = async (): Promise<void> => {
    installation.advance(Math.max(0, (await stored()).pollAt - installation.clock.now()));
  };

  test('federation §4.2: a bundle that goes back in sequence is refused, and the one before goes on being served', async () => {
    const known = (await stored()).bundle;
    const newer = { ...served, spiffe_sequence: served.spiffe_sequence! + 10 };
    served = { ...served, spiffe_sequence: 1, keys: [x509Key(foreign('Impostor'))] };
    await due();
    await poll();
    const after = await stored();
    assert.deepEqual([after.fault, after.bundle], ['sequence_back', known]);
    const events = (await installation.events()).filter(({ type }) => type === 'federation.refused');
    assert.deepEqual(
      events.map(({ body }) => body['fault']),
      ['sequence_back'],
    );
    await due();
    await poll();
    assert.equal(
      (await installation.events()).filter(({ type }) => type === 'federation.refused').length,
      1,
      'once is enough',
    );
    served = newer;
    await due();
    await poll();
    assert.equal((await stored()).fault, undefined);
  });

  test('federation §6.2: while the other side is away, what was fetched last goes on being served, and it is tried at the next interval', async () => {
    const known = (await stored()).bundle;
    const answer = site.answer;
    site.answer = (_request, response) => void response.writeHead(503).end();
    await due();
    await poll();
    const after = await stored();
    assert.deepEqual([after.fault, after.bundle], ['status', known]);
    assert.ok(after.pollAt - installation.clock.now() >= 60_000);
    assert.equal(await poll(), 0);
    site.answer = answer;
    await due();
    await poll();
    assert.equal((await stored()).fault, undefined);
  });

  test('federation §5.2.1.4, §7.5.1: a redirect is remembered by nobody, whatever it says of its permanence', async () => {
    const answer = site.answer;
    const moved = await endpoint(
      svidServer,
      serving(() => served),
    );
    for (const status of [301, 302, 307, 308]) {
      site.answer = (_request, response) => void response.writeHead(status, { Location: moved.url }).end();
      const [here, there] = [site.asked.length, moved.asked.length];
      for (let n = 1; n <= 2; n++) {
        await due();
        await poll();
        const after = await stored();
        assert.deepEqual([after.fault, after.url], [undefined, site.url], `${status}`);
        assert.deepEqual([site.asked.length, moved.asked.length], [here + n, there + n], `${status}`);
      }
    }
    await moved[Symbol.asyncDispose]();
    site.answer = answer;
  });

  test('SPIFFE-ID §2.1: a trust domain that is no host name, or an address, is one like others', async () => {
    for (const trustDomain of ['10.2.3.4', 'a_b', '-', 'single']) {
      const authority = certificate({ ca: true, uris: [`spiffe://${trustDomain}`] });
      const bundle = JSON.stringify({ keys: [x509Key(authority)] });
      const made = { trustDomain, url: site.url, profile: 'https_web', bundle } as const;
      await addFederation(ADA, made, parts);
      const known = await authoritiesOf(database, parseTrustDomain(trustDomain));
      const leaf = certificate({ uris: [`spiffe://${trustDomain}/x`], by: authority });
      const result = validateSvid({
        ...{ leaf: parseCertificate(leaf.der), intermediates: [], now: Date.now() },
        authorities: (domain) => (domain === trustDomain ? known : undefined),
      });
      assert.ok(result.valid, `${trustDomain} ${result.valid ? '' : result.why}`);
      await removeFederation(ADA, trustDomain, parts);
    }
  });

  test('federation §5.2.2.4: later connections are known by the bundle that was fetched last', async () => {
    const next = foreign('Partner, next');
    served = { ...served, spiffe_sequence: served.spiffe_sequence! + 1, keys: [x509Key(next)] };
    await due();
    await poll();
    const old = site;
    await due();
    await poll();
    assert.equal(
      (await stored()).fault,
      'identity',
      'who still shows the old authority’s certificate is nobody any more',
    );
    await old[Symbol.asyncDispose]();
    site = await endpoint(
      next.leaf({ uri: SERVER_ID }),
      serving(() => served),
    );
  });

  test('federation §4.2: a bundle put in by hand is the latest until the next is fetched, whatever its sequence', async () => {
    const given = JSON.stringify({ spiffe_sequence: 0, keys: [x509Key(partner)] });
    await replaceBundle(ADA, { trustDomain: PARTNER, bundle: given }, parts);
    const { bundle, source, fault } = await stored();
    assert.deepEqual([bundle?.sequence, source, fault], [0, 'given', undefined]);
    const seen = (await installation.events()).length;
    const ours = JSON.stringify({ keys: [x509Key(namedAuthority('spiffe://agents.example.com'))] });
    await assert.rejects(replaceBundle(ADA, { trustDomain: PARTNER, bundle: ours }, parts), (error) =>
      isWritError(error, 'bad_request'),
    );
    assert.deepEqual([(await stored()).bundle, await claimed(seen)], [bundle, [PARTNER]]);
  });

  test('a bundle that claims our own trust domain is refused on the ledger, and the one before goes on being served', async () => {
    const known = (await stored()).bundle;
    const before = served;
    const ours = { ...served, keys: [x509Key(namedAuthority('spiffe://agents.example.com'))] };
    served = { ...ours, spiffe_sequence: served.spiffe_sequence! + 1 };
    await replaceBundle(ADA, { trustDomain: PARTNER, bundle: JSON.stringify({ keys: known!.keys }) }, parts);
    const kept = (await stored()).bundle;
    const seen = (await installation.events()).length;
    const answering = await endpoint(
      partner.leaf({ uri: SERVER_ID }),
      serving(() => served),
    );
    await due();
    const polled = await pollFederations({
      ...{ reader: database, commit: installation.commit, clock: installation.clock, own: async () => OWN },
      fetch: (one) => fetchBundle({ ...one, url: answering.url }, fetching()),
      jitter: () => 0,
      log: silentLog,
    });
    await answering[Symbol.asyncDispose]();
    assert.equal(polled, 1);
    const after = await stored();
    assert.deepEqual([after.fault, after.bundle], ['own_domain', kept]);
    const refusals = (await installation.events(seen)).filter(({ type }) => type === 'federation.refused');
    assert.deepEqual(
      refusals.map(({ body }) => [body['trust_domain'], body['fault']]),
      [[PARTNER, 'own_domain']],
    );
    served = before;
  });

  test('of several who poll at once one fetches', async () => {
    await due();
    assert.deepEqual((await Promise.all([poll(), poll(), poll()])).sort(), [0, 0, 1]);
  });

  test('federation §4.2, §7.3: bundles of two trust domains are never one', async () => {
    const other = foreign('Third');
    const bundle = JSON.stringify({ keys: [x509Key(other), jwtKey('third').jwk] });
    await addFederation(ADA, { trustDomain: 'third.example', url: site.url, profile: 'https_web', bundle }, parts);
    const all = await listFederations(database);
    assert.deepEqual(
      all.map(({ trustDomain }) => trustDomain),
      [PARTNER, 'third.example'],
    );
    const keys = (domain: string) => all.find(({ trustDomain }) => trustDomain === domain)?.bundle;
    assert.ok(keys(PARTNER)!.keys.every((key) => !keys('third.example')!.keys.some((one) => one['x'] === key['x'])));
    const { jwk, privateKey } = jwtKey('mine');
    const theirs = parse({ keys: [jwk] }).jwtKeys;
    const forged = signedToken(privateKey, { kid: 'mine' }, { sub: `spiffe://${PARTNER}/x`, aud: 'a' });
    const options = { audience: 'a', now: Date.now() };
    const faultIn = (token: string): string => {
      const result = validateJwtSvid(token, {
        ...options,
        keys: (domain) => (domain === 'third.example' ? theirs : parse(keys(PARTNER)).jwtKeys),
      });
      return result.ok ? 'none' : result.fault;
    };
    assert.notEqual(faultIn(forged), 'none', 'one domain’s key says nothing of the other');
    assert.equal(
      faultIn(signedToken(privateKey, { kid: 'mine' }, { sub: 'spiffe://third.example/x', aud: 'a' })),
      'none',
    );
  });

  test('federation §6.3: what is removed is believed no more, and polled no more', async () => {
    await removeFederation(ADA, PARTNER, parts);
    await removeFederation(ADA, 'third.example', parts);
    assert.deepEqual(await listFederations(database), []);
    assert.equal(await authoritiesOf(database, PARTNER), undefined);
    installation.advance(86_400_000);
    assert.equal(await poll(), 0);
    await assert.rejects(removeFederation(ADA, PARTNER, parts), (error) => isWritError(error, 'not_found'));
  });

  test('the ledger has each step, and names the trust domain', async () => {
    const events = (await installation.events()).filter(({ type }) => type.startsWith('federation.'));
    const kinds = new Set(events.map(({ type }) => type));
    assert.deepEqual([...kinds].sort(), [
      'federation.added',
      'federation.bundle_changed',
      'federation.refused',
      'federation.removed',
    ]);
    assert.ok(events.every(({ body }) => typeof body['trust_domain'] === 'string'));
  });
});

describe('the endpoint of Writ itself', () => {
  let door: Door;
  before(async () => {
    door = await openDoor();
    const { database, commit, keyring, random, clock } = door.installation;
    await keepSvidKeys({ reader: database, commit, keyring, random, clock });
  });
  after(() => door[Symbol.asyncDispose]());

  test('federation §5.2.1.3, §5.2.2.3: a GET by anybody gives the bundle, as JSON in UTF-8', async () => {
    const { status, headers, text: body } = await door.ask('/v1/trust/bundle.json', { open: true });
    assert.deepEqual([status, headers['content-type']], [200, 'application/json']);
    const parsed = parseSpiffeBundle(Buffer.from(body), 'bundle');
    assert.ok(parsed.sequence! > 0);
    assert.ok(parsed.refreshHint! > 0);
    assert.equal(parsed.authorities.length, 1);
    assert.equal(parsed.jwtKeys.length, 1);
  });

  test('federation §5: TLS is 1.2 at least, and the suite one of the "intermediate" ones', async () => {
    const shaken = (options: ConnectionOptions): Promise<string> =>
      new Promise((resolve) => {
        const socket = connect({ host: '127.0.0.1', port: door.openPort, rejectUnauthorized: false, ...options });
        socket.once('error', () => resolve('refused'));
        socket.once('secureConnect', () => {
          resolve(`${socket.getProtocol()} ${socket.getCipher().standardName}`);
          socket.destroy();
        });
      });
    const suites = /^TLSv1\.3 TLS_(AES_128_GCM_SHA256|AES_256_GCM_SHA384|CHACHA20_POLY1305_SHA256)$/;
    assert.match(await shaken({}), suites);
    const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT:@SECLEVEL=0' } as const;
    assert.equal(await shaken(old), 'refused');
  });

  test('federation §4.1: a key is published before it signs', async () => {
    const { database, commit, keyring, random, clock } = door.installation;
    const authorize = () => ({ allowed: true, rules: [], policyVersion: 1 }) as const;
    const { kid } = await rotateSvidKey(
      ADA,
      { atOnce: false },
      { reader: database, commit, keyring, random, clock, authorize },
    );
    door.installation.advance(1000);
    // One that has read nothing before.
    const signing = async () => (await tokenSigner(database, keyring, clock.now, SVID_KEYS)()).kid;
    const bundle = await door.json('/v1/trust/bundle.json', { open: true });
    const kids = (bundle.body.keys as Record<string, unknown>[]).map((key) => key['kid']);
    assert.ok(kids.includes(kid));
    const before = await signing();
    assert.ok(kids.includes(before) && before !== kid);
    // Longer than what consumers are told to ask again after (§4.1: three to five times).
    assert.ok(5 * (bundle.body.spiffe_refresh_hint as number) * 1000 < SVID_KEYS.publishedBefore);
  });

  test('federation §5.2.2.3: the server’s certificate is an X.509-SVID of the trust domain', async () => {
    const target = {
      profile: 'https_spiffe',
      endpointId: 'spiffe://agents.example.com/writ/server',
      url: `https://127.0.0.1:${door.openPort}/v1/trust/bundle.json`,
    } as const;
    const roots = await door.ask('/v1/trust/bundle.json', { open: true });
    const anchors = parseSpiffeBundle(Buffer.from(roots.text), 'bundle').authorities.map(parseCertificate);
    const fetched = await fetchBundle(target, fetching({ authorities: async () => anchors }));
    assert.ok(fetched.fetched, faultOf(fetched));
    assert.deepEqual(Buffer.from(fetched.octets).toString(), roots.text);
  });

  test('X.509-SVID §6.1, JWT-SVID §6.1: its keys have use, those of tokens a name, authorities none and one certificate', async () => {
    const { body } = await door.json('/v1/trust/bundle.json', { open: true });
    for (const key of body.keys as Record<string, unknown>[]) {
      if (key['use'] === 'x509-svid') {
        assert.equal(key['kid'], undefined);
        assert.equal((key['x5c'] as unknown[]).length, 1);
        // The certificate of an authority authenticates nobody (X.509-SVID §3.2).
        const der = new Uint8Array(Buffer.from((key['x5c'] as string[])[0]!, 'base64'));
        assert.equal(leafId(parseCertificate(der)), 'is that of an authority');
      } else {
        assert.equal(key['use'], 'jwt-svid');
        assert.equal(typeof key['kid'], 'string');
      }
    }
  });
});
