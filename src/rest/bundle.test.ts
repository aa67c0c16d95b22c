/** A second root reaches those who were let in under the first, by the renewals that they make anyway. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { connect as connectTls, createServer } from 'node:tls';
import { AUTHORITY_KEY, activeOf } from '../ca/authority.ts';
import { readAuthorities } from '../ca/hierarchy.ts';
import { certifyAuthority, testAuthority } from '../http/testdata/authority.ts';
import { openKey } from '../keys/keyring.ts';
import { connect } from '../sdk/enrolment/connect.ts';
import { loadIdentity } from '../sdk/enrolment/store.ts';
import { formatJoinToken, parseJoinToken } from '../wire/join-token.ts';
import { openDoor } from './testdata/door.ts';

const store = join(mkdtempSync(join(tmpdir(), 'writ-bundle-')), 'identity');
after(() => rmSync(join(store, '..'), { recursive: true }));

test('a renewal brings a root that came after the enrolment, to every use of the identity', async () => {
  const second = testAuthority('Second Root');
  const moreRoots: Uint8Array[] = [];
  await using door = await openDoor({ moreRoots });
  const owner = { team: 'research', sponsor: 'alice@example.com' };
  const register = { name: 'planner', owner, purpose: 'plans' };
  await door.json('/v1/agents', { method: 'POST', body: register, client: door.operator });
  const made = await door.json('/v1/tokens', { method: 'POST', body: { agent: 'planner' }, client: door.operator });
  const token = formatJoinToken({ ...parseJoinToken(made.body.token), address: `127.0.0.1:${door.port}` });
  using identity = await connect({ token, store });
  const [first] = identity.credential.roots;
  await identity.renew();
  assert.deepEqual(identity.credential.roots, [first], 'one root is known already');

  const peer = second.leaf({ uri: 'spiffe://agents.example.com/service/db/1', loopback: true });
  const server = createServer({ key: peer.keyPem, cert: peer.pem }, (socket) => socket.on('error', () => {}));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  const reach = async (): Promise<boolean> => {
    const options = identity.clientOptions({ allow: 'spiffe://agents.example.com/service/db/1' });
    const socket = connectTls({ ...options, host: '127.0.0.1', port });
    return once(socket, 'secureConnect')
      .then(
        () => true,
        () => false,
      )
      .finally(() => socket.destroy());
  };
  assert.equal(await reach(), false);
  moreRoots.push(second.der);
  await identity.renew();
  assert.deepEqual(identity.credential.roots, [first], 'a server alone makes nobody believe another root');
  assert.equal(await reach(), false);
  const { database, keyring } = door.installation;
  const root = activeOf(await readAuthorities(database), 'root')!;
  const key = await openKey(database, keyring, { id: root.keyId!, purpose: AUTHORITY_KEY });
  moreRoots.push(certifyAuthority({ key, subject: root.certificate.subject.raw }, second).der);
  await identity.renew();
  assert.deepEqual(identity.credential.roots, [first, second.pem]);
  assert.equal(await reach(), true);
  server.close();

  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.deepEqual((await loadIdentity(store))?.home.roots, [first, second.pem], 'a restart knows both as well');
  moreRoots.length = 0;
  await identity.renew();
  assert.deepEqual(identity.credential.roots, [first], 'what is not on the list any more is not trusted any more');
});
