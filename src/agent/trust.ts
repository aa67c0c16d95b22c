import { decodePem } from '../der/pem.ts';
import type { VerificationKey } from '../jwt/jwk.ts';
import type { ParsedBundle } from '../jwt/spiffe-bundle.ts';
import type { Identity } from '../sdk/identity/identity.ts';
import type { NodeServer } from './server.ts';

/** What the members of one trust domain are judged by. */
export interface TrustBundle {
  /** DER of the roots, one behind the other. */
  readonly x509: Uint8Array;
  /** A JWK Set with keys of JWT-SVIDs alone. */
  readonly jwks: Uint8Array;
  readonly jwtKeys: readonly VerificationKey[];
}

/**
 * The bundles of a daemon: of its own trust domain, and of those that its entries name. They outlive the server's silence;
 * what it does not give any more when it speaks again is gone.
 */
export class Trust {
  readonly #identity: Identity;
  readonly #server: NodeServer;
  readonly #changed: () => void;
  #jwt: Pick<ParsedBundle, 'jwtKeys' | 'keys'> | undefined;
  #roots: readonly string[];
  #own: { readonly roots: readonly string[]; readonly bundle: TrustBundle } | undefined;
  #others: ReadonlyMap<string, TrustBundle> = new Map();
  #state = '';

  /** `changed` is called when a bundle differs from before. */
  constructor(identity: Identity, server: NodeServer, changed: () => void) {
    this.#identity = identity;
    this.#server = server;
    this.#changed = changed;
    this.#roots = identity.credential.roots;
  }

  get trustDomain(): string {
    return this.#identity.trustDomain;
  }

  /** Of the own trust domain; undefined before the server was heard once. Roots are those that a trusted one vouched for. */
  get own(): TrustBundle | undefined {
    if (this.#jwt === undefined) return undefined;
    if (this.#own?.roots !== this.#roots) {
      const x509 = Buffer.concat(this.#roots.map((pem) => decodePem(pem, 'CERTIFICATE')));
      this.#own = { roots: this.#roots, bundle: { x509, ...jwtPart(this.#jwt) } };
    }
    return this.#own.bundle;
  }

  /** Of one trust domain, the own included; undefined for one that is not known. */
  of(trustDomain: string): TrustBundle | undefined {
    return trustDomain === this.trustDomain ? this.own : this.#others.get(trustDomain);
  }

  /** Takes over the roots (PEM) that came with the latest certificate: each new one is vouched for by one of before. */
  learn(roots: readonly string[]): void {
    if (roots.join('') === this.#roots.join('')) return;
    this.#roots = roots;
    this.#changed();
  }

  /** Asks the server. Rejects where it does not answer; what is known stays. One answer does not wait for the other. */
  async refresh(): Promise<void> {
    const answers = await Promise.allSettled([
      this.#server.bundle().then((own) => {
        this.#jwt = own;
        this.#own = undefined;
      }),
      this.#server.federated().then((federated) => {
        this.#others = new Map(
          [...federated]
            // Nobody else says who belongs to us.
            .filter(([name]) => name !== this.trustDomain)
            .map(([name, bundle]) => [name, { x509: Buffer.concat(bundle.authorities), ...jwtPart(bundle) }]),
        );
      }),
    ]);
    const others = [...this.#others].map(([name, { x509, jwks }]) => [name, ...[x509, jwks].map(textOf)]);
    const state = JSON.stringify([this.#jwt?.keys, others]);
    if (state !== this.#state) {
      this.#state = state;
      this.#changed();
    }
    for (const answer of answers) if (answer.status === 'rejected') throw answer.reason;
  }
}

function textOf(octets: Uint8Array): string {
  return Buffer.from(octets.buffer, octets.byteOffset, octets.length).toString('base64');
}

/** A plain JWK Set (SPIFFE Workload API §6.2.2): keys for other uses must not be in it. */
function jwtPart({ jwtKeys, keys }: Pick<ParsedBundle, 'jwtKeys' | 'keys'>): Pick<TrustBundle, 'jwks' | 'jwtKeys'> {
  const own = keys.filter(({ use }) => use === 'jwt-svid').map(({ use: _, ...rest }) => rest);
  return { jwtKeys, jwks: Buffer.from(JSON.stringify({ keys: own })) };
}
