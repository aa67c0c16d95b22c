import type { KeyObject } from 'node:crypto';
import type { OperatorCredential } from '../../src/cli/credential.ts';
import { Client } from '../../src/http/client.ts';
import { checkPeer } from '../../src/sdk/peer/peer.ts';
import { serverId } from '../../src/spiffe-id/subject.ts';
import { parseTrustDomain } from '../../src/spiffe-id/trust-domain.ts';
import type { RunningServer } from '../program.ts';

/** Who comes with a certificate. */
export interface Bearer {
  readonly key: KeyObject;
  /** PEM. */
  readonly certificate: string;
  readonly chain: readonly string[];
}

/** The longest that a server may keep a request, also while its database is gone. */
const TIMEOUT_MS = 20_000;

/** How the clients of one running server speak to it. Nothing here repeats a request by itself. */
export class Door {
  readonly server: RunningServer;
  readonly #operator: Client;
  readonly #nobody: Client;
  /** Public documents, from the listener that asks for no certificate. */
  readonly documents: Client;
  readonly #common: Pick<ConstructorParameters<typeof Client>[0], 'roots' | 'checkServer' | 'attempts' | 'timeout'>;

  constructor(server: RunningServer, operator: OperatorCredential, trustDomain: string) {
    this.server = server;
    const writ = serverId(parseTrustDomain(trustDomain)).uri;
    this.#common = {
      roots: operator.roots,
      checkServer: checkPeer((id) => id.uri === writ),
      attempts: 1,
      timeout: TIMEOUT_MS,
    };
    const credential = { key: operator.key, chain: operator.chain.join('') };
    this.#operator = new Client({ server: server.api, ...this.#common, credential });
    this.#nobody = new Client({ server: server.api, ...this.#common });
    this.documents = new Client({ server: server.open, ...this.#common });
  }

  /** Instances come with a connection of their own each time, as programs that renew now and then do. */
  client(as: Bearer | 'operator' | 'nobody'): Client {
    if (as === 'operator') return this.#operator;
    if (as === 'nobody') return this.#nobody;
    const key = as.key.export({ type: 'pkcs8', format: 'pem' }) as string;
    const credential = { key, chain: [as.certificate, ...as.chain].join('') };
    return new Client({ server: this.server.api, ...this.#common, credential });
  }

  release(client: Client): void {
    if (client !== this.#operator && client !== this.#nobody) client.close();
  }

  close(): void {
    for (const client of [this.#operator, this.#nobody, this.documents]) client.close();
  }
}
