/** ghostunnel, as it is, with certificates of `writ agent`: at both ends of a tunnel, and at either end of one with the SDK. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect as connectPlain, createServer as createPlain } from 'node:net';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { connect as connectTls, createServer, type TLSSocket } from 'node:tls';
import { createVerifier } from '../../src/sdk/verifier/verifier.ts';
import { eventually, type Foreign, freePort, serialShown, startForeign, talk } from './foreign.ts';
import { machine } from './machine.ts';
import { ghostunnel, pathOf, skipOf } from './tools.ts';

const TUNNEL = ghostunnel();
const skip = skipOf(TUNNEL);
const box = (skip === false ? await machine() : undefined)!;
/** Behind each tunnel: says everything again. */
const echo = (): string => join(box.scratch, 'echo.sock');
before(async () => {
  if (skip !== false) return;
  const behind = createPlain((peer) => peer.pipe(peer).on('error', () => undefined));
  await once(behind.listen(echo()), 'listening');
  box.atEnd(() => behind.close());
});

/** One end, as the agent of its name. */
async function tunnel(name: string, mode: 'client' | 'server', ...args: readonly string[]): Promise<Foreign> {
  const path = box.install(pathOf(TUNNEL), name);
  await box.entry(name, path);
  const started = startForeign(path, [mode, '--use-workload-api-addr', `unix://${box.socket}`, ...args]);
  box.atEnd(() => started.stop());
  await started.saying(/listening for connections/);
  return started;
}

/** A server's end that lets these in. */
async function serving(name: string, allow: string): Promise<{ readonly end: Foreign; readonly port: number }> {
  const port = await freePort();
  const args = ['--listen', `127.0.0.1:${port}`, '--target', `unix:${echo()}`, '--allow-uri', `${box.prefix(allow)}*`];
  return { end: await tunnel(name, 'server', ...args), port };
}

/** A client's end that expects these. Gives where programs connect. */
async function reaching(
  name: string,
  port: number,
  expected: string,
): Promise<{ readonly end: Foreign; readonly at: string }> {
  const at = join(box.scratch, `${name}.sock`);
  const args = ['--listen', `unix:${at}`, '--target', `127.0.0.1:${port}`, '--verify-uri', `${box.prefix(expected)}*`];
  return { end: await tunnel(name, 'client', ...args), at };
}

test('a tunnel of two: known by their ids, through renewals on both sides; a stranger to either is refused', {
  skip,
}, async () => {
  const { end, port } = await serving('hall', 'agent/door');
  const door = await reaching('door', port, 'agent/hall');
  const first = talk(connectPlain(door.at));
  await first.say('before');
  const old = [box.latest('hall'), box.latest('door')].map(({ credential }) => credential.serial);
  await Promise.all([box.latest('hall').renew(), box.latest('door').renew()]);
  const serials = [box.latest('hall'), box.latest('door')].map(({ credential }) => credential.serial);
  assert.ok(serials.every((serial, at) => serial !== old[at]));
  // What was open goes on; what is opened shows the new certificate, which plain TLS sees as well.
  await first.say('after');
  await talk(connectPlain(door.at)).say('anew');
  const anybody = box.node.clientOptions({ allow: () => true });
  await eventually(async () => {
    const shown = await serialShown(connectTls({ host: '127.0.0.1', port, ...anybody }));
    return shown === serials[0] ? true : undefined;
  });

  const wrongServer = await reaching('window', port, 'agent/cellar');
  await talk(connectPlain(wrongServer.at)).closed();
  await wrongServer.end.saying(/error/i);
  const stranger = await reaching('thief', port, 'agent/hall');
  await talk(connectPlain(stranger.at)).closed();
  await end.saying(/unauthorized/i);
});

test('the stream of a stopped tunnel is cut in the middle by whoever follows the feed, at either end', {
  skip,
}, async () => {
  const verifier = createVerifier({ identity: box.node, mode: 'strict' });
  box.atEnd(() => verifier.close());
  await verifier.ready(AbortSignal.timeout(30_000));

  // A client's end before a server of ours.
  const listener = createServer(verifier.serverOptions(), (peer) => peer.pipe(peer).on('error', () => undefined));
  verifier.protect(listener, { allow: 'agent/pier/*' });
  await once(listener.listen(0, '127.0.0.1'), 'listening');
  box.atEnd(() => listener.close());
  const pier = await reaching('pier', (listener.address() as AddressInfo).port, 'service/box');
  const out = talk(connectPlain(pier.at));
  await out.say('middle');
  await box.server.json('instance', 'stop', box.latest('pier').instance, '--yes');
  await out.closed(pier.end.said);
  await talk(connectPlain(pier.at)).closed();

  // A client of ours before a server's end.
  const { port } = await serving('quay', 'service/box');
  const far: TLSSocket = connectTls({ host: '127.0.0.1', port, ...verifier.clientOptions({ allow: 'agent/quay/*' }) });
  far.once('secureConnect', () => verifier.track(far));
  const into = talk(far);
  await into.say('middle');
  await box.server.json('instance', 'stop', box.latest('quay').instance, '--yes');
  await into.closed();
});
