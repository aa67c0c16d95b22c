/** What a proxy says of the secrets that it got, over a real socket. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect as connectSocket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { testServer } from '../../../test/server.ts';
import { GrpcClient } from '../../grpc/client.ts';
import { openCodecs } from '../../grpc/codec.ts';
import { methodPath } from '../../grpc/proto.ts';
import { connect } from '../../sdk/enrolment/connect.ts';
import { Daemon } from '../daemon.ts';
import { testNodeServer } from '../testdata/node-server.ts';
import { type DiscoveryRequest, discoveryRequest, discoveryResponse, SDS_FILE } from './messages.ts';

const server = await testServer();
const node = await connect({ token: await server.token('box', 'service') });
const scratch = mkdtempSync(join(tmpdir(), 'writ-sds-'));
const own = testNodeServer(server);
own.set([{ match: [`unix:uid=${process.geteuid!()}`] }]);
const socket = join(scratch, 'a', 'api.sock');
const daemon = await Daemon.start({
  ...{ identity: node, socket, admin: join(scratch, 'b', 'api.sock'), server: own },
});
const client = new GrpcClient({ authority: 'http://localhost', connect: () => connectSocket(socket) });
after(async () => {
  client.close();
  await daemon.close();
  node.close();
  rmSync(scratch, { recursive: true, force: true });
});

const codecs = openCodecs(SDS_FILE);
const method = {
  path: methodPath(SDS_FILE, 'StreamSecrets'),
  request: codecs.of(discoveryRequest),
  response: codecs.of(discoveryResponse),
};

test('why a proxy did not take what it got is one line of the log, once for each answer', async () => {
  const said: string[] = [];
  daemon.on('said', (text) => {
    if (text.includes('a proxy')) said.push(text);
  });
  const call = client.open(method);
  const answers = call.messages();
  const ask = (given: Partial<DiscoveryRequest>): void =>
    call.send({ resource_names: ['default'], type_url: '', response_nonce: '', version_info: '', ...given });
  // About nothing that there was.
  ask({ error_detail: { message: 'before\nanything' } });
  const first = (await answers.next()).value!;
  assert.equal(first.resources.length, 1);
  assert.deepEqual(said, []);
  for (let n = 0; n < 3; n++) {
    ask({ response_nonce: first.nonce, error_detail: { message: `bad\nerror: all is well\u001b[2K\u2028${n}` } });
  }
  // What was sent before is read before this.
  ask({ response_nonce: first.nonce, resource_names: ['default', 'ROOTCA'] });
  assert.equal((await answers.next()).value!.resources.length, 2);
  assert.deepEqual(said, ['a proxy did not take its secrets: bad?error: all is well?[2K?0']);
  call.finish();
});
