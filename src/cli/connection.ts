import { renameSync, writeFileSync } from 'node:fs';
import type { Clock } from '../base/clock.ts';
import { WritError } from '../base/error.ts';
import { decodePem } from '../der/pem.ts';
import { Client, type ClientRequest } from '../http/client.ts';
import { csrFor, newKey } from '../sdk/identity/credential.ts';
import { spiffeIdOf } from '../sdk/peer/peer.ts';
import { checkWritServer } from '../sdk/peer/writ-server.ts';
import { parseCertificate } from '../x509/certificate.ts';
import type { Api, Item, WithApi } from './api.ts';
import { approvalHeaders } from './approval-flags.ts';
import type { Flag } from './command.ts';
import { credentialFile, type OperatorCredential, readCredential } from './credential.ts';

/** Flags of every command that speaks to a server. */
export const CONNECTION_FLAGS: readonly Flag[] = [
  {
    name: 'operator',
    value: 'file',
    summary: 'operator credential; otherwise ./writ-data-operator, then ~/.config/writ',
    environment: 'WRIT_OPERATOR',
  },
  {
    name: 'server',
    value: 'https://host:port',
    summary: 'speak to this address; a join token names its own',
    environment: 'WRIT_SERVER',
  },
];

/** Opens the interface as the operator whose credential is named or found. Renews the credential when it is time. */
export function asOperator(clock: Clock): WithApi {
  return async (input, act) => {
    const file = credentialFile(input.flag('operator'));
    const credential = readCredential(file);
    const client = openClient(credential, input.flag('server'), clock);
    try {
      await keepFresh(file, credential, client, clock);
      return await act(apiOf(client, input.flag('server') ?? credential.server, approvalHeaders(input)));
    } finally {
      client.close();
    }
  };
}

function openClient(credential: OperatorCredential, server: string | undefined, clock: Clock): Client {
  const own = decodePem(credential.chain[0]!, 'CERTIFICATE');
  if (parseCertificate(own).notAfter < clock.now()) {
    throw new WritError('not_authenticated', `The certificate of operator ${credential.name} has expired`, {
      field: '--operator',
      remedy: `On the server's machine: writ operator add ${credential.name} --replace`,
    });
  }
  return new Client({
    server: server ?? credential.server,
    roots: credential.roots,
    credential: { key: credential.key, chain: credential.chain.join('') },
    checkServer: checkWritServer(spiffeIdOf(own).trustDomain),
  });
}

/** A command a week keeps an operator in: past two thirds of its life the certificate is renewed, with a new key. */
async function keepFresh(file: string, credential: OperatorCredential, client: Client, clock: Clock): Promise<void> {
  const { notBefore, notAfter } = parseCertificate(decodePem(credential.chain[0]!, 'CERTIFICATE'));
  if (clock.now() < notBefore + ((notAfter - notBefore) * 2) / 3) return;
  try {
    const key = newKey(credential.roots[0]!);
    const answer = await client.json<{ readonly certificate: string; readonly chain: readonly string[] }>({
      method: 'POST',
      path: '/v1/certificates/renew',
      body: { csr: await csrFor(key) },
    });
    const next: OperatorCredential = {
      ...credential,
      chain: [answer.certificate, ...answer.chain],
      key: key.export({ type: 'pkcs8', format: 'pem' }) as string,
    };
    writeFileSync(`${file}.new`, `${JSON.stringify(next, undefined, 2)}\n`, { mode: 0o600, flush: true });
    renameSync(`${file}.new`, file);
  } catch {
    // The command goes on with what it has; the next one tries again, and `writ doctor` says how long that will do.
  }
}

function apiOf(client: Client, server: string, headers: Readonly<Record<string, string>>): Api {
  const send = (method: NonNullable<ClientRequest['method']>, path: string, body?: Item): Promise<Item> =>
    client.json<Item>({ method, path, headers, ...(body === undefined ? {} : { body }) });
  return {
    server,
    get: (path, query) => client.json<Item>({ path, ...(query === undefined ? {} : { query }) }),
    text: async (path) => (await client.send({ path })).body.toString('utf8'),
    post: (path, body) => send('POST', path, body),
    patch: (path, body) => send('PATCH', path, body),
    put: (path, body) => send('PUT', path, body),
    remove: (path) => send('DELETE', path),
  };
}
