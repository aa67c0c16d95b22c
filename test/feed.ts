/** What tests of the revocation feed share: somebody who is revoked, a peer as its server sees it, and what came of a stop. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import * as tls from 'node:tls';
import { connect } from '../src/sdk/enrolment/connect.ts';
import type { Identity } from '../src/sdk/identity/identity.ts';
import type { Decision } from '../src/sdk/verifier/options.ts';
import type { TestServer } from './server.ts';

/** Waits until something is so, and fails when it is not in time. */
export async function until(what: () => boolean, ms = 5000): Promise<void> {
  const late = performance.now() + ms;
  while (!what()) {
    assert.ok(performance.now() < late, `not within ${ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** The serial number of an agent's certificate that was just revoked. */
export async function revoked(server: TestServer): Promise<string> {
  const victim = await connect({ token: await server.token('victim') });
  await server.json('cert', 'revoke', victim.credential.serial, '--cause', 'key_theft');
  victim.close();
  return victim.credential.serial;
}

export function reasonOf(decision: Decision): string {
  return decision.allowed ? 'allowed' : decision.reason;
}

export interface Connected {
  /** The server's end, of which the client is the peer. */
  readonly near: tls.TLSSocket;
  readonly far: tls.TLSSocket;
  readonly close: () => void;
}

/** A connection of a client to a server of this identity. */
export async function connected(client: Identity, server: Identity): Promise<Connected> {
  const listener = tls.createServer(server.serverOptions());
  const accepted = once(listener, 'secureConnection');
  await once(listener.listen(0, '127.0.0.1'), 'listening');
  const { port } = listener.address() as AddressInfo;
  const far = tls.connect({ port, host: '127.0.0.1', ...client.clientOptions({ allow: server.spiffeId }) });
  far.on('error', () => {});
  const [near] = (await accepted) as [tls.TLSSocket];
  near.on('error', () => {});
  const close = (): void => {
    near.destroy();
    listener.close();
  };
  return { near, far, close };
}

/** What the ledger holds of how a stop took effect. */
export interface Effect {
  readonly points: number;
  readonly acknowledged: number;
  readonly missing: readonly string[];
  readonly accepted_after: number;
  readonly max_ms: number;
}

/** Of the stop of a certificate; undefined until it is recorded. */
export function effectOf({ data }: TestServer, serial: string): Effect | undefined {
  const database = new DatabaseSync(join(data, 'writ.db'), { readOnly: true });
  try {
    const rows = database
      .prepare('SELECT e.entry FROM ledger_entry e JOIN ledger_subject s ON s.leaf = e.leaf WHERE s.subject = ?')
      .all(`serial:${serial}`);
    const entries = rows.map(
      ({ entry }) => JSON.parse(Buffer.from(entry as Uint8Array).toString()) as { type: string; body: Effect },
    );
    return entries.find(({ type }) => type === 'revocation.effective')?.body;
  } finally {
    database.close();
  }
}
