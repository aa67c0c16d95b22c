/** Clients of a running server that hide nothing: they try once, so that every request that fails is seen. */
import { createPublicKey, generateKeyPairSync, type KeyObject, sign, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import type { OperatorCredential } from '../../src/cli/credential.ts';
import { encodePem } from '../../src/der/pem.ts';
import { Client } from '../../src/http/client.ts';
import { encodeCsr } from '../../src/x509/csr.ts';

/** What an instance holds. */
export interface Leaf {
  readonly key: KeyObject;
  /** PEM. */
  readonly certificate: string;
  /** PEM of the authorities above it, without the root. */
  readonly chain: readonly string[];
  /** Hex. */
  readonly serial: string;
  readonly id: string;
  /** Last segment of the SPIFFE ID. */
  readonly instance: string;
}

interface Answer {
  readonly certificate: string;
  readonly chain: readonly string[];
  readonly serial: string;
  readonly spiffe_id: string;
}

/** A request for a certificate, PEM. */
export async function csrFor(key: KeyObject): Promise<string> {
  const spki = createPublicKey(key).export({ type: 'spki', format: 'der' });
  const der = await encodeCsr({
    spki,
    algorithm: 'ecdsa-p256-sha256',
    sign: async (message) => sign('sha256', message, key),
  });
  return encodePem('CERTIFICATE REQUEST', der);
}

export function newKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
}

/** A client that shows this leaf, or nothing. `alone`: without the authorities above it. */
export function clientOf(
  server: string,
  roots: readonly string[],
  leaf?: Leaf,
  { alone = false, timeout = 15_000 }: { readonly alone?: boolean; readonly timeout?: number } = {},
): Client {
  return new Client({
    ...{ server, roots, timeout, attempts: 1 },
    ...(leaf === undefined
      ? {}
      : {
          credential: {
            key: leaf.key.export({ type: 'pkcs8', format: 'pem' }) as string,
            chain: alone ? leaf.certificate : [leaf.certificate, ...leaf.chain].join(''),
          },
        }),
  });
}

export async function enrol(client: Client, token: string, idempotencyKey?: string): Promise<Leaf> {
  const key = newKey();
  const body = { token, csr: await csrFor(key) };
  const asked = { method: 'POST', path: '/v1/enrol', body } as const;
  return leafOf(key, await client.json(idempotencyKey === undefined ? asked : { ...asked, idempotencyKey }));
}

/** Renews with a new key, over the connection of a client that shows the leaf. */
export async function renew(client: Client): Promise<Leaf> {
  const key = newKey();
  const body = { csr: await csrFor(key) };
  return leafOf(key, await client.json({ method: 'POST', path: '/v1/certificates/renew', body }));
}

function leafOf(key: KeyObject, { certificate, chain, serial, spiffe_id: id }: Answer): Leaf {
  return { key, certificate, chain, serial, id, instance: id.slice(id.lastIndexOf('/') + 1) };
}

/** Who the server takes the client for. */
export async function whoami(client: Client): Promise<string> {
  return (await client.json<{ spiffe_id: string }>({ path: '/v1/whoami' })).spiffe_id;
}

/** The common name of the authority that signed. */
export function issuerOf({ certificate }: Pick<Leaf, 'certificate'>): string {
  return new X509Certificate(certificate).issuer;
}

/** A client that shows an operator's credential to a server. */
export function operatorClient(file: string, server: string): Client {
  const { key, chain, roots } = JSON.parse(readFileSync(file, 'utf8')) as OperatorCredential;
  return new Client({ server, roots, attempts: 1, credential: { key, chain: chain.join('') } });
}

/** Roots that an operator's credential names. */
export function rootsIn(file: string): readonly string[] {
  return (JSON.parse(readFileSync(file, 'utf8')) as OperatorCredential).roots;
}

/** Milliseconds between two renewals of one instance: it may have 20 a second. */
const RENEWAL_REST = 50;

export interface Load {
  /** Ends it, as the end of the tests does; what every request came to. Rejects with the first failure, when there was one. */
  stop(): Promise<{ readonly enrolled: readonly Leaf[]; readonly renewed: readonly Leaf[] }>;
}

/**
 * Enrols over one connection, without a rest longer than `rest` ms, and renews over several others, each as often as one
 * instance may (`writeLimit`), until it is stopped. Every certificate that came is kept, for whoever wants to look at them.
 */
export async function startLoad(
  server: string,
  roots: readonly string[],
  token: string,
  { renewers = 6, rest = 8 }: { readonly renewers?: number; readonly rest?: number } = {},
): Promise<Load> {
  const enrolled: Leaf[] = [];
  const renewed: Leaf[] = [];
  const failures: unknown[] = [];
  let running = true;
  after(() => {
    running = false;
  });
  const repeat = async (client: Client, ms: number, act: () => Promise<void>): Promise<void> => {
    while (running) {
      await act().catch((error: unknown) => failures.push(error));
      await pause(ms);
    }
    client.close();
  };
  const open = clientOf(server, roots);
  const first = await Promise.all(Array.from({ length: renewers }, () => enrol(open, token)));
  const workers = first.map((leaf) => {
    const client = clientOf(server, roots, leaf);
    return repeat(client, RENEWAL_REST, async () => void renewed.push(await renew(client)));
  });
  workers.push(repeat(open, rest, async () => void enrolled.push(await enrol(open, token))));
  return {
    async stop() {
      running = false;
      await Promise.all(workers);
      if (failures.length > 0) throw new AggregateError(failures, `${failures.length} requests failed: ${failures[0]}`);
      return { enrolled, renewed };
    },
  };
}
