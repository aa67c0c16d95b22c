/** The rules of the SPIFFE Workload Endpoint and the SPIFFE Workload API, each with its clause, asked by a foreign client. */
import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import * as grpc from '@grpc/grpc-js';
import { Daemon } from '../../src/agent/daemon.ts';
import { openNodeServer } from '../../src/agent/server.ts';
import { ask, header, readStream, type WorkloadStub, workloadStub } from '../../src/agent/testdata/client.ts';
import { WritError } from '../../src/base/error.ts';
import { type ParsedBundle, parseSpiffeBundle } from '../../src/jwt/spiffe-bundle.ts';
import { connect } from '../../src/sdk/enrolment/connect.ts';
import { WORKLOAD_FILE } from '../../src/sdk/workload-api/messages.ts';
import { testServer } from '../server.ts';
import { foreign, jwtKey, x509Key } from './endpoint.ts';
import { signedToken } from './token.ts';

const server = await testServer();
const node = await connect({ token: await server.token('box', 'service') });
const closing: (() => unknown)[] = [() => node.close()];
after(async () => {
  for (const close of closing.reverse()) await close();
});

const me = ['--node', 'box', '--match', `unix:uid=${process.geteuid!()}`];
let silent: WritError | undefined;
const real = openNodeServer(node);
/** Other trust domains, as the server gives them; those of `federated` are named by every entry. */
let others: ReadonlyMap<string, ParsedBundle> = new Map();
const federated = ['partner.example', 'third.example'];
const own = {
  ...real,
  entries: async () => {
    if (silent !== undefined) throw silent;
    return (await real.entries())?.map((entry) => ({ ...entry, federates_with: federated }));
  },
  federated: async () => others,
};

const socket = join(server.scratch, 'agent', 'api.sock');
silent = new WritError('unavailable', 'not there yet');
const daemon = await Daemon.start({
  identity: node,
  socket,
  admin: join(server.scratch, 'admin', 'api.sock'),
  server: own,
});
closing.push(() => daemon.close());

function stub(): WorkloadStub {
  const made = workloadStub(socket);
  closing.push(() => made.close());
  return made;
}

/** Each profile's stream. */
function streamsOf(client: WorkloadStub): readonly ((metadata: grpc.Metadata) => grpc.ClientReadableStream<object>)[] {
  return [
    (metadata) => client.FetchX509SVID({}, metadata),
    (metadata) => client.FetchX509Bundles({}, metadata),
    (metadata) => client.FetchJWTBundles({}, metadata),
  ];
}

const codeOf = async (call: Promise<unknown>): Promise<number | undefined> =>
  call.then(
    () => grpc.status.OK,
    (error: grpc.ServiceError) => error.code,
  );

/** A call of a method that the published file does not have. */
function raw(path: string, metadata: grpc.Metadata): Promise<number> {
  return new Promise((resolve) => {
    const same = (bytes: Buffer): Buffer => bytes;
    const call = stub().makeServerStreamRequest(path, same, same, Buffer.alloc(0), metadata, {});
    call.on('data', () => undefined);
    call.on('error', () => undefined);
    call.on('status', ({ code }) => resolve(code));
  });
}

async function first<A>(call: grpc.ClientReadableStream<A>): Promise<A> {
  const stream = readStream(call);
  const [message] = await stream.count(1);
  stream.cancel();
  return message!;
}

const certificates = (der: Buffer): X509Certificate[] => {
  const found: X509Certificate[] = [];
  for (let rest = der; rest.length > 0; ) {
    const one = new X509Certificate(rest);
    found.push(one);
    rest = rest.subarray(one.raw.length);
  }
  return found;
};

describe('the SPIFFE Workload Endpoint', () => {
  test('§6: Unavailable while the endpoint is not ready', async () => {
    const { code } = await readStream(stub().FetchX509SVID({}, header())).ended;
    assert.equal(code, grpc.status.UNAVAILABLE);
    silent = undefined;
    await daemon.refresh();
  });

  test('§6: PermissionDenied for a caller without identity, in every profile', async () => {
    const client = stub();
    for (const call of streamsOf(client)) {
      assert.equal((await readStream(call(header())).ended).code, grpc.status.PERMISSION_DENIED);
    }
    assert.equal(await codeOf(ask(client, client.FetchJWTSVID, { audience: ['a'] })), grpc.status.PERMISSION_DENIED);
    const unknown = ask(client, client.ValidateJWTSVID, { audience: 'a', svid: 'a.b.c' });
    assert.equal(await codeOf(unknown), grpc.status.PERMISSION_DENIED);
    await server.json(
      'agent',
      'register',
      'planner',
      '--team',
      'tests',
      '--sponsor',
      'a@example.com',
      '--purpose',
      'tests',
    );
    await server.json(
      'agent',
      'register',
      'reader',
      '--team',
      'tests',
      '--sponsor',
      'a@example.com',
      '--purpose',
      'tests',
    );
    await server.json('entry', 'create', 'planner', ...me, '--hint', 'main');
    await new Promise((then) => setTimeout(then, 10));
    await server.json('entry', 'create', 'reader', ...me, '--hint', 'main');
    await daemon.refresh();
  });

  test('§3: requests without the static metadata "workload.spiffe.io: true", case and all, are InvalidArgument', async () => {
    const client = stub();
    const expected = grpc.status.INVALID_ARGUMENT;
    for (const given of [
      {},
      { 'workload.spiffe.io': 'TRUE' },
      { 'workload.spiffe.io': 'false' },
      { 'spiffe.io': 'true' },
    ]) {
      const metadata = header(given as Record<string, string>);
      for (const call of streamsOf(client)) {
        assert.equal((await readStream(call(metadata)).ended).code, expected);
      }
      assert.equal(await codeOf(ask(client, client.FetchJWTSVID, { audience: ['a'] }, metadata)), expected);
      const asked = { audience: 'a', svid: 'a.b.c' };
      assert.equal(await codeOf(ask(client, client.ValidateJWTSVID, asked, metadata)), expected);
    }
  });

  test('§5: nothing is asked of the caller itself', async () => {
    assert.equal((await first(stub().FetchX509SVID({}, header()))).svids.length, 2);
  });

  test('§7: what is served is told by reflection', async () => {
    for (const version of ['v1', 'v1alpha']) {
      const path = `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`;
      const same = (bytes: Buffer): Buffer => bytes;
      const answer = await new Promise<Buffer>((resolve, reject) => {
        const call = stub().makeBidiStreamRequest(path, same, same, new grpc.Metadata(), {});
        call.once('data', (bytes: Buffer) => {
          call.end();
          resolve(bytes);
        });
        call.on('error', reject);
        // list_services = "*"
        call.write(Buffer.from([0x3a, 0x01, 0x2a]));
      });
      assert.ok(answer.includes('SpiffeWorkloadAPI'));
    }
  });

  test('§7, and Workload API §2: the service has what the document has, and nothing else', () => {
    const { name, methods } = WORKLOAD_FILE.service!;
    assert.equal(name, 'SpiffeWorkloadAPI');
    // Those of the WIT-SVID profile are `Unimplemented`.
    assert.deepEqual(
      methods.map(({ name, streams = 'nothing', request, response }) => [name, streams, request.name, response.name]),
      [
        ['FetchX509SVID', 'response', 'X509SVIDRequest', 'X509SVIDResponse'],
        ['FetchX509Bundles', 'response', 'X509BundlesRequest', 'X509BundlesResponse'],
        ['FetchJWTSVID', 'nothing', 'JWTSVIDRequest', 'JWTSVIDResponse'],
        ['FetchJWTBundles', 'response', 'JWTBundlesRequest', 'JWTBundlesResponse'],
        ['ValidateJWTSVID', 'nothing', 'ValidateJWTSVIDRequest', 'ValidateJWTSVIDResponse'],
      ],
    );
    const fields = Object.fromEntries(
      WORKLOAD_FILE.messages.map((type) => [
        type.name,
        Object.entries(type.fields).map(([field, { number }]) => `${number} ${field}`),
      ]),
    );
    assert.deepEqual(fields, {
      X509SVIDRequest: [],
      X509SVIDResponse: ['1 svids', '2 crl', '3 federated_bundles'],
      X509SVID: ['1 spiffe_id', '2 x509_svid', '3 x509_svid_key', '4 bundle', '5 hint'],
      X509BundlesRequest: [],
      X509BundlesResponse: ['1 crl', '2 bundles'],
      JWTSVIDRequest: ['1 audience', '2 spiffe_id'],
      JWTSVIDResponse: ['1 svids'],
      JWTSVID: ['1 spiffe_id', '2 svid', '3 hint'],
      JWTBundlesRequest: [],
      JWTBundlesResponse: ['1 bundles'],
      ValidateJWTSVIDRequest: ['1 audience', '2 svid'],
      ValidateJWTSVIDResponse: ['1 spiffe_id', '2 claims'],
    });
  });

  test('Appendix A: Unimplemented for what is not', async () => {
    assert.equal(await raw('/SpiffeWorkloadAPI/FetchEverything', header()), grpc.status.UNIMPLEMENTED);
  });
});

describe('the SPIFFE Workload API', () => {
  test('§4.3: the first message comes for the request, and each has the full set', async () => {
    for (const call of streamsOf(stub())) {
      // Nothing changes meanwhile that would be told anyhow.
      const asked = readStream(call(header()));
      await asked.count(1);
      asked.cancel();
    }
    const stream = readStream(stub().FetchX509SVID({}, header()));
    const [one] = await stream.count(1);
    const [first] = one!.svids;
    // Those that the daemon has are in the order in which the server let them in, which is not that of a message.
    await [...daemon.workloads.children].find(({ spiffeId }) => spiffeId === first!.spiffe_id)!.renew();
    const two = await stream.find(({ svids }) => !svids[0]!.x509_svid.equals(first!.x509_svid));
    stream.cancel();
    assert.deepEqual(
      two.svids.map(({ spiffe_id }) => spiffe_id),
      one!.svids.map(({ spiffe_id }) => spiffe_id),
    );
    assert.deepEqual(two.svids[1], one!.svids[1]);
  });

  test('§4.5: InvalidArgument for mandatory fields that are empty', async () => {
    const client = stub();
    for (const call of [
      ask(client, client.FetchJWTSVID, { audience: [] }),
      ask(client, client.FetchJWTSVID, { audience: [''] }),
      ask(client, client.ValidateJWTSVID, { audience: '', svid: 'a.b.c' }),
      ask(client, client.ValidateJWTSVID, { audience: 'a', svid: '' }),
    ]) {
      assert.equal(await codeOf(call), grpc.status.INVALID_ARGUMENT);
    }
  });

  test('§5.2.1: every field of an X509SVID is filled and fits the others; the leaf comes first', async () => {
    for (const { spiffe_id, x509_svid, x509_svid_key, bundle } of (await first(stub().FetchX509SVID({}, header())))
      .svids) {
      const [leaf, ...chain] = certificates(x509_svid);
      assert.ok(leaf!.subjectAltName?.split(', ').includes(`URI:${spiffe_id}`));
      assert.equal(leaf!.ca, false);
      assert.ok(leaf!.checkPrivateKey(createPrivateKey({ key: x509_svid_key, format: 'der', type: 'pkcs8' })));
      const path = [leaf!, ...chain, ...certificates(bundle)];
      for (const [at, certificate] of path.slice(0, -1).entries())
        assert.ok(certificate.verify(path[at + 1]!.publicKey));
      assert.ok(path.at(-1)!.ca);
    }
  });

  test('§5.2.1: a hint is unique in a message; §8: the first is the default, of the oldest entry', async () => {
    const { svids } = await first(stub().FetchX509SVID({}, header()));
    assert.deepEqual(
      svids.map(({ hint }) => hint),
      ['main', ''],
    );
    assert.match(svids[0]!.spiffe_id, /\/planner\//);
  });

  test('§5.2.2: X.509 bundles hold at least that of the own trust domain, by its SPIFFE ID', async () => {
    const { bundles } = await first(stub().FetchX509Bundles({}, header()));
    assert.deepEqual(Object.keys(bundles), [`spiffe://${node.trustDomain}`]);
    assert.ok(certificates(Object.values(bundles)[0]!).every(({ ca }) => ca));
  });

  test('§6.2.1: a JWT-SVID for every identity, or for the one that is named; PermissionDenied for another', async () => {
    const client = stub();
    const { svids } = await ask(client, client.FetchJWTSVID, { audience: ['bank', 'books'] });
    const children = [...daemon.workloads.children].map(({ spiffeId }) => spiffeId).sort();
    assert.deepEqual(svids.map(({ spiffe_id }) => spiffe_id).sort(), children);
    assert.deepEqual(
      svids.map(({ hint }) => hint),
      ['main', ''],
    );
    const claims = JSON.parse(Buffer.from(svids[0]!.svid.split('.')[1]!, 'base64url').toString()) as Record<
      string,
      unknown
    >;
    assert.equal(claims['sub'], svids[0]!.spiffe_id);
    assert.deepEqual(new Set([claims['aud']].flat()), new Set(['bank', 'books']));
    const [one] = children;
    const named = await ask(client, client.FetchJWTSVID, { audience: ['bank'], spiffe_id: one! });
    assert.deepEqual(
      named.svids.map(({ spiffe_id }) => spiffe_id),
      [one],
    );
    const other = ask(client, client.FetchJWTSVID, { audience: ['bank'], spiffe_id: node.spiffeId });
    assert.equal(await codeOf(other), grpc.status.PERMISSION_DENIED);
  });

  test('§6.2.2: JWT bundles are plain JWK Sets with keys for JWT-SVIDs alone', async () => {
    const { bundles } = await first(stub().FetchJWTBundles({}, header()));
    assert.deepEqual(Object.keys(bundles), [`spiffe://${node.trustDomain}`]);
    const set = JSON.parse(Object.values(bundles)[0]!.toString()) as { keys: Record<string, unknown>[] };
    assert.deepEqual(Object.keys(set), ['keys']);
    assert.ok(set.keys.length > 0);
    for (const key of set.keys) {
      assert.equal(typeof key['kid'], 'string');
      assert.equal(key['x5c'], undefined);
    }
  });

  test('§6.2.3: a token is validated by the rules of JWT-SVID, and what it claims is told', async () => {
    const client = stub();
    const { svids } = await ask(client, client.FetchJWTSVID, { audience: ['bank'] });
    const { svid, spiffe_id } = svids[0]!;
    const validated = await ask(client, client.ValidateJWTSVID, { audience: 'bank', svid });
    assert.equal(validated.spiffe_id, spiffe_id);
    for (const claim of ['sub', 'aud', 'exp']) assert.ok(claim in validated.claims.fields, claim);
    const [head, body, signature] = svid.split('.') as [string, string, string];
    for (const asked of [
      { audience: 'books', svid },
      { audience: 'bank', svid: `${head}.${body}.${signature.slice(0, -4)}AAAA` },
      { audience: 'bank', svid: `${Buffer.from('{"alg":"none"}').toString('base64url')}.${body}.` },
      { audience: 'bank', svid: 'nonsense' },
    ]) {
      assert.equal(await codeOf(ask(client, client.ValidateJWTSVID, asked)), grpc.status.INVALID_ARGUMENT);
    }
  });

  test('§7: calls of the WIT-SVID profile, which is not served, are Unimplemented', async () => {
    for (const method of ['FetchWITSVID', 'FetchWITBundles']) {
      assert.equal(await raw(`/SpiffeWorkloadAPI/${method}`, header()), grpc.status.UNIMPLEMENTED);
    }
  });

  test('§4.6: bundles of other trust domains are there, each under its own name; §4.4: and gone when they are', async () => {
    const [one, two] = [foreign('One'), foreign('Two')];
    const bundle = (keys: readonly object[]): ParsedBundle =>
      parseSpiffeBundle(Buffer.from(JSON.stringify({ keys })), 'bundle');
    const client = stub();
    const [svids, x509, jwt] = [
      readStream(client.FetchX509SVID({}, header())),
      readStream(client.FetchX509Bundles({}, header())),
      readStream(client.FetchJWTBundles({}, header())),
    ];
    await Promise.all([svids, x509, jwt].map((stream) => stream.count(1)));
    others = new Map([
      ['partner.example', bundle([x509Key(one), jwtKey('one').jwk])],
      ['third.example', bundle([x509Key(two), jwtKey('two').jwk])],
      // Of whom no entry speaks.
      ['stranger.example', bundle([x509Key(two)])],
      // Nobody else speaks for us.
      [node.trustDomain, bundle([x509Key(two), jwtKey('two').jwk])],
    ]);
    await daemon.refresh();
    const theirs = { 'spiffe://partner.example': Buffer.from(one.der), 'spiffe://third.example': Buffer.from(two.der) };
    const names = [`spiffe://${node.trustDomain}`, ...Object.keys(theirs)].sort();
    const full = (given: object): boolean => Object.keys(given).includes('spiffe://third.example');
    const { federated_bundles } = await svids.find(({ federated_bundles }) => full(federated_bundles));
    assert.deepEqual(federated_bundles, theirs);
    const { bundles } = await x509.find(({ bundles }) => full(bundles));
    assert.deepEqual(Object.keys(bundles).sort(), names);
    for (const [name, der] of Object.entries(theirs)) assert.deepEqual(bundles[name], der);
    assert.notDeepEqual(bundles[`spiffe://${node.trustDomain}`], theirs['spiffe://third.example']);
    const { bundles: sets } = await jwt.find(({ bundles }) => full(bundles));
    assert.deepEqual(Object.keys(sets).sort(), names);
    const kids = (set: Buffer): unknown[] =>
      (JSON.parse(set.toString()) as { keys: { kid: string }[] }).keys.map(({ kid }) => kid);
    assert.deepEqual(kids(sets['spiffe://partner.example']!), ['one']);
    assert.deepEqual(kids(sets['spiffe://third.example']!), ['two']);
    others = new Map();
    await daemon.refresh();
    await svids.find(
      ({ federated_bundles }) => Object.keys(federated_bundles).length === 0 && svids.messages.length > 1,
    );
    await x509.find(({ bundles }) => Object.keys(bundles).length === 1 && x509.messages.length > 2);
    for (const stream of [svids, x509, jwt]) stream.cancel();
  });

  test('§6.3: a token is judged by the bundle of its subject’s trust domain alone; without one it is not trusted', async () => {
    const [one, two] = [jwtKey('one'), jwtKey('two')];
    const bundle = (jwk: object): ParsedBundle => parseSpiffeBundle(Buffer.from(JSON.stringify({ keys: [jwk] })), 'b');
    others = new Map([
      ['partner.example', bundle(one.jwk)],
      ['third.example', bundle(two.jwk)],
      ['stranger.example', bundle(two.jwk)],
    ]);
    await daemon.refresh();
    const client = stub();
    const judged = (domain: string, { privateKey }: typeof one, kid: string): Promise<number | undefined> => {
      const svid = signedToken(privateKey, { kid }, { sub: `spiffe://${domain}/x`, aud: 'bank' });
      return codeOf(ask(client, client.ValidateJWTSVID, { audience: 'bank', svid }));
    };
    assert.equal(await judged('partner.example', one, 'one'), grpc.status.OK);
    assert.equal(await judged('third.example', two, 'two'), grpc.status.OK);
    for (const [domain, key, kid] of [
      ['partner.example', two, 'two'],
      ['partner.example', two, 'one'],
      ['third.example', one, 'one'],
      [node.trustDomain, one, 'one'],
      ['stranger.example', two, 'two'],
      ['unknown.example', one, 'one'],
    ] as const) {
      assert.equal(await judged(domain, key, kid), grpc.status.INVALID_ARGUMENT, `${domain} ${kid}`);
    }
    others = new Map();
    await daemon.refresh();
    assert.equal(await judged('partner.example', one, 'one'), grpc.status.INVALID_ARGUMENT);
  });

  test('§8: no hint is longer than 1024 bytes', async () => {
    const { code } = await server.cli('entry', 'create', 'planner', ...me, '--hint', 'x'.repeat(1025));
    assert.notEqual(code, 0);
  });

  test('§4.4 and §5.2.1: what is redacted is in no further message; PermissionDenied when nothing is left', async () => {
    await daemon.verifier.ready(AbortSignal.timeout(5000));
    const stream = readStream(stub().FetchX509SVID({}, header()));
    const { svids } = (await stream.count(1))[0]!;
    const [one, two] = svids.map(({ spiffe_id }) => spiffe_id.split('/').at(-1)!) as [string, string];
    await server.json('instance', 'stop', one, '--yes');
    const second = await stream.find(({ svids: left }) => left.length === 1);
    assert.deepEqual(
      second.svids.map(({ spiffe_id }) => spiffe_id),
      [svids[1]!.spiffe_id],
    );
    await server.json('instance', 'stop', two, '--yes');
    assert.equal((await stream.ended).code, grpc.status.PERMISSION_DENIED);
    const client = stub();
    assert.equal(await codeOf(ask(client, client.FetchJWTSVID, { audience: ['bank'] })), grpc.status.PERMISSION_DENIED);
  });
});
