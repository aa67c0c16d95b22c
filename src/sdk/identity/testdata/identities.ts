import type { Clock } from '../../../base/clock.ts';
import { type TestAuthority, testAuthority } from '../../../http/testdata/authority.ts';
import { BACKDATED_MS, type Credential } from '../credential.ts';
import { type Authority, Identity } from '../identity.ts';

const HOUR = 3_600_000;

/** An authority in memory that certifies whom a test names, and gives identities that renew from it. */
export interface Issuer {
  readonly root: TestAuthority;
  /** A credential as the server would answer now. `path` is e.g. `agent/planner/1`. */
  credential(path: string, at?: number, lifetime?: number): Credential;
  identity(path: string): Identity;
}

const DOMAIN = 'agents.example.com';

export function issuer(): Issuer {
  const root = testAuthority();
  const issuing = root.authority('Test Issuing');
  let serial = 0;
  const self: Issuer = {
    root,
    credential(path, at = Date.now(), lifetime = HOUR) {
      const spiffeId = `spiffe://${DOMAIN}/${path}`;
      const { key, pem } = issuing.leaf({ uri: spiffeId, dns: ['localhost'], loopback: true });
      serial += 1;
      return {
        key,
        spiffeId,
        serial: serial.toString(16).padStart(40, '0'),
        certificate: pem,
        chain: [issuing.pem],
        roots: [root.pem],
        notBefore: at - BACKDATED_MS,
        notAfter: at + lifetime,
        renewAfter: at + (lifetime * 2) / 3,
      };
    },
    identity(path) {
      const authority: Authority = { renew: async () => self.credential(path), stop: async () => {}, close() {} };
      return new Identity(self.credential(path), authority);
    },
  };
  return self;
}

/** An authority that answers as told, one answer a call; the last for all that follow. Notes when it was asked. */
export class ScriptedAuthority implements Authority {
  readonly askedAt: number[] = [];
  closed = false;
  readonly #clock: Clock;
  readonly #answers: readonly (() => Promise<Credential>)[];

  constructor(clock: Clock, answers: readonly (() => Promise<Credential>)[]) {
    this.#clock = clock;
    this.#answers = answers;
  }

  renew(): Promise<Credential> {
    this.askedAt.push(this.#clock.now());
    return this.#answers[Math.min(this.askedAt.length, this.#answers.length) - 1]!();
  }

  async stop(): Promise<void> {}

  close(): void {
    this.closed = true;
  }
}
