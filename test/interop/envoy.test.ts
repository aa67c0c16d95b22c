/** Envoy, as it is, with secrets of `writ agent`: before a server and behind a client of the SDK, through a renewal and a stop. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect as connectPlain, createServer as createPlain } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { type ConnectionOptions, connect as connectTls, createServer, type TLSSocket } from 'node:tls';
import { connect } from '../../src/sdk/enrolment/connect.ts';
import type { Identity } from '../../src/sdk/identity/identity.ts';
import { createVerifier } from '../../src/sdk/verifier/verifier.ts';
import { eventually, type Foreign, serialShown, startForeign, talk } from './foreign.ts';
import { machine } from './machine.ts';
import { envoy, pathOf, skipOf } from './tools.ts';

const ENVOY = envoy();
const skip = skipOf(ENVOY);
const box = (skip === false ? await machine() : undefined)!;
const at = (name: string): string => join(box.scratch, name);
const TLS = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3';

/** A secret of this name, which the daemon gives, whole or by increments. */
const secret = (name: string, kind: 'GRPC' | 'DELTA_GRPC'): object => ({
  name,
  sds_config: {
    resource_api_version: 'V3',
    api_config_source: {
      ...{ api_type: kind, transport_api_version: 'V3' },
      grpc_services: [{ envoy_grpc: { cluster_name: 'agent' } }],
    },
  },
});

const pipe = (path: string): object => ({ pipe: { path } });

const cluster = (name: string, path: string, more: object = {}): object => ({
  ...{ name, type: 'STATIC', connect_timeout: '5s' },
  load_assignment: {
    cluster_name: name,
    endpoints: [{ lb_endpoints: [{ endpoint: { address: pipe(path) } }] }],
  },
  ...more,
});

/** Passes what comes here on to a cluster, as it is. */
const listener = (name: string, path: string, to: string, transport?: object): object => ({
  ...{ name, address: pipe(path) },
  filter_chains: [
    {
      filters: [
        {
          name: 'envoy.filters.network.tcp_proxy',
          typed_config: {
            '@type': 'type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy',
            ...{ stat_prefix: name, cluster: to },
          },
        },
      ],
      ...(transport === undefined ? {} : { transport_socket: transport }),
    },
  ],
});

/**
 * Its certificate, and whom it believes: by the roots of one trust domain, or by those of the domain that each names.
 * `matching`: the one URI that it expects, or what it begins with.
 */
function tls(kind: 'Upstream' | 'Downstream', roots: 'ROOTCA' | 'ALL', matching: object): object {
  const how = kind === 'Upstream' ? 'GRPC' : 'DELTA_GRPC';
  return {
    name: 'envoy.transport_sockets.tls',
    typed_config: {
      '@type': `${TLS}.${kind}TlsContext`,
      ...(kind === 'Downstream' ? { require_client_certificate: true } : {}),
      common_tls_context: {
        tls_params: { tls_minimum_protocol_version: 'TLSv1_3', tls_maximum_protocol_version: 'TLSv1_3' },
        tls_certificate_sds_secret_configs: [secret('default', how)],
        combined_validation_context: {
          default_validation_context: { match_typed_subject_alt_names: [{ san_type: 'URI', matcher: matching }] },
          validation_context_sds_secret_config: secret(roots, how),
        },
      },
    },
  };
}

/** One proxy: plain at `out`, TLS at `in`. */
async function proxy(): Promise<Foreign> {
  const path = box.install(pathOf(ENVOY), 'envoy');
  await box.entry('edge', path);
  const upstream = tls('Upstream', 'ROOTCA', { prefix: box.prefix('service/box') });
  const downstream = tls('Downstream', 'ALL', { prefix: box.prefix('service/box') });
  const http2 = {
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
        explicit_http_config: { http2_protocol_options: {} },
      },
    },
  };
  const config = {
    node: { id: 'edge', cluster: 'tests' },
    admin: { address: pipe(at('envoy-admin.sock')) },
    static_resources: {
      listeners: [listener('out', at('out.sock'), 'ours'), listener('in', at('in.sock'), 'echo', downstream)],
      clusters: [
        cluster('agent', box.socket, http2),
        cluster('ours', at('ours.sock'), { transport_socket: upstream }),
        cluster('echo', at('echo.sock')),
      ],
    },
  };
  writeFileSync(at('envoy.json'), JSON.stringify(config));
  const quiet = ['--log-level', 'info', '--concurrency', '1', '--disable-hot-restart'];
  const started = startForeign(path, ['--config-path', at('envoy.json'), ...quiet]);
  box.atEnd(() => started.stop());
  await started.saying(/all dependencies initialized/);
  return started;
}

test('Envoy proves itself and judges others at both ends, goes on through a renewal, and is cut off when it is stopped', {
  skip,
}, async () => {
  const verifier = createVerifier({ identity: box.node, mode: 'strict' });
  box.atEnd(() => verifier.close());
  await verifier.ready(AbortSignal.timeout(30_000));
  const echo = createPlain((peer) => peer.pipe(peer).on('error', () => undefined));
  await once(echo.listen(at('echo.sock')), 'listening');
  box.atEnd(() => echo.close());
  const ours = createServer(verifier.serverOptions(), (peer) => peer.pipe(peer).on('error', () => undefined));
  verifier.protect(ours, { allow: 'agent/edge/*' });
  await once(ours.listen(at('ours.sock')), 'listening');
  box.atEnd(() => ours.close());
  const started = await proxy();

  const inwards = (options: ConnectionOptions = verifier.clientOptions({ allow: 'agent/edge/*' })): TLSSocket =>
    connectTls({ path: at('in.sock'), ...options });
  const serial = (): Promise<string> => serialShown(inwards());
  const out = talk(connectPlain(at('out.sock')));
  await out.say('first', started.said);
  const near = inwards();
  near.once('secureConnect', () => verifier.track(near));
  const into = talk(near);
  await into.say('first', started.said);
  const edge = box.latest('edge');
  const before = edge.credential.serial;
  assert.equal(await serial(), before);

  await edge.renew();
  await eventually(async () => ((await serial()) === edge.credential.serial ? true : undefined), started.said);
  assert.notEqual(edge.credential.serial, before);
  await out.say('second');
  await into.say('second');

  // Whoever it does not expect, and whoever shows nothing, is not let in.
  const other = await fromToken('stranger');
  for (const options of [other.clientOptions({ allow: 'agent/edge/*' }), { rejectUnauthorized: false }]) {
    const refused = talk(inwards(options));
    await refused.closed();
    assert.equal(refused.heard(), '');
  }

  await box.server.json('instance', 'stop', edge.instance, '--yes');
  await Promise.all([out.closed(), into.closed()]);
  const again = talk(connectPlain(at('out.sock')));
  await again.closed();
  assert.equal(again.heard(), '');
});

async function fromToken(agent: string): Promise<Identity> {
  const identity = await connect({ token: await box.server.token(agent) });
  box.atEnd(() => identity.close());
  return identity;
}
