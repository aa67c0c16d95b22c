import { existsSync, readFileSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { WritError } from '../base/error.ts';
import { decodePem } from '../der/pem.ts';
import { Client, type ClientAnswer, type ClientRequest } from '../http/client.ts';
import { checkPeer, spiffeIdOf } from '../sdk/peer.ts';
import { serverId } from '../spiffe-id/subject.ts';
import type { Api, Item, OpenApi } from './api.ts';
import type { Flag } from './command.ts';

/** What `writ init` and `writ operator add` write: everything that a command line needs to speak to its server. */
export interface OperatorCredential {
  readonly version: 1;
  readonly name: string;
  /** `https://host:port`. */
  readonly server: string;
  /** PEM of the roots. */
  readonly roots: readonly string[];
  /** PEM: the operator's certificate and the authorities above it, without the root. */
  readonly chain: readonly string[];
  /** PEM. */
  readonly key: string;
}

/** Flags of every command that speaks to a server. */
export const CONNECTION_FLAGS: readonly Flag[] = [
  {
    name: 'operator',
    value: 'file',
    summary: 'operator credential; otherwise ./writ-data-operator, then ~/.config/writ',
    environment: 'WRIT_OPERATOR',
  },
  { name: 'server', value: 'https://host:port', summary: 'speak to this address', environment: 'WRIT_SERVER' },
];

/** Opens the interface as the operator whose credential is named or found. */
export const openAsOperator: OpenApi = async (input) => {
  const credential = readCredential(input.flag('operator') ?? findCredential());
  return openApi(input.flag('server') ?? credential.server, credential);
};

export function findCredential(): string {
  const places = [resolve('writ-data-operator', 'operator.json'), join(homedir(), '.config', 'writ', 'operator.json')];
  const found = places.find((place) => existsSync(place));
  if (found !== undefined) return found;
  throw new WritError('not_authenticated', 'No operator credential was found', {
    field: '--operator',
    remedy: `Run the command where "writ start" made writ-data-operator, or name the file. Looked in ${places.join(' and ')}.`,
  });
}

function readCredential(path: string): OperatorCredential {
  const file = existsSync(path) && statSync(path).isDirectory() ? join(path, 'operator.json') : path;
  let text: string;
  try {
    if ((statSync(file).mode & 0o077) !== 0) {
      throw new WritError('unsafe_permissions', 'Others than its owner can read the operator credential', {
        field: '--operator',
        remedy: `chmod 600 ${file}`,
      });
    }
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    if (cause instanceof WritError) throw cause;
    throw new WritError('not_authenticated', 'The operator credential cannot be read', {
      field: '--operator',
      remedy: `Check the path: ${file}`,
      cause,
    });
  }
  const parsed = tryParse(text);
  if (parsed?.version !== 1 || typeof parsed.key !== 'string') {
    throw new WritError('bad_config', 'This is not an operator credential', {
      field: '--operator',
      remedy: 'Name the operator.json that "writ start" or "writ operator add" wrote.',
    });
  }
  return parsed;
}

function tryParse(text: string): OperatorCredential | undefined {
  try {
    return JSON.parse(text) as OperatorCredential;
  } catch {
    return undefined;
  }
}

function openApi(server: string, credential: OperatorCredential): Api {
  const { trustDomain } = spiffeIdOf(decodePem(credential.roots[0]!, 'CERTIFICATE'));
  const writ = serverId(trustDomain).uri;
  const client = new Client({
    server,
    roots: credential.roots,
    credential: { key: credential.key, chain: credential.chain.join('') },
    checkServer: checkPeer((id) => id.uri === writ),
  });
  const send = (method: NonNullable<ClientRequest['method']>, path: string, body: Item): Promise<Item> =>
    client.json<Item>({ method, path, body });
  return {
    server,
    get: (path, query) => client.json<Item>({ path, ...(query === undefined ? {} : { query }) }),
    text: async (path) => (await client.send({ path }).then((answer: ClientAnswer) => answer.body)).toString('utf8'),
    post: (path, body) => send('POST', path, body),
    put: (path, body) => send('PUT', path, body),
    patch: (path, body) => send('PATCH', path, body),
    close: () => client.close(),
  };
}
