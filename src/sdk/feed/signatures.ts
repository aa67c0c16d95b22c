import { type KeyObject, verify, X509Certificate } from 'node:crypto';
import { WritError } from '../../base/error.ts';
import { decodePem } from '../../der/pem.ts';
import type { TrustDomain } from '../../spiffe-id/trust-domain.ts';
import {
  type FeedStatement,
  type SignedStatement,
  type StatementFrame,
  signedOctets,
} from '../../wire/feed-statement.ts';
import { type Certificate, parseCertificate } from '../../x509/certificate.ts';
import { RFC5280 } from '../../x509/path/policy.ts';
import { validatePath } from '../../x509/path/validate.ts';
import type { MachineClock } from '../machine-clock.ts';
import { certificateFacts, issuersAlong } from '../peer/facts.ts';
import { compileRule } from '../peer/peer.ts';
import { isVouched } from './vouched.ts';

/** For ever, or held: since when, milliseconds of the server's clock. */
export type SignerFall = 'stopped' | { readonly heldSince: number };

export interface SignatureParts {
  /** Whose roots the signer's chain must lead to, and whose trust domain it must be of. */
  readonly identity: { readonly roots: readonly string[]; readonly trustDomain: TrustDomain };
  readonly clock: MachineClock;
  /** What has become of one of those that a signer is known by, as far as is known. */
  readonly fallen: (subject: string) => SignerFall | undefined;
}

/** A server of the authority whose chain was verified. */
interface Signer {
  readonly key: KeyObject;
  readonly notAfter: number;
  readonly subjects: readonly string[];
  /** What it was signed with and all above that, the root too. */
  readonly chain: readonly Certificate[];
}

/** The authority's own servers, as over TLS. */
export const SERVER_RULE = 'writ/server';

const LONGEST_CHAIN = 8;
/** Signers that are remembered: the threads and replicas of a server, and their last certificates. */
const MOST = 32;

/**
 * Verifies what the authority's servers say of the feed, whoever passed it on: signed with the key of a certificate that a
 * direct follower would accept over TLS.
 */
export class FeedSignatures {
  readonly #parts: SignatureParts;
  readonly #signers = new Map<string, Signer>();
  #roots: readonly string[] | undefined;

  constructor(parts: SignatureParts) {
    this.#parts = parts;
  }

  /** What was said. Throws `bad_certificate` for what no server of the authority has signed, or none that still may. */
  read({ chain, statement, signature }: SignedStatement): FeedStatement {
    const texts: readonly unknown[] = Array.isArray(chain) ? [statement, signature, ...chain] : [undefined];
    if (texts.some((text) => typeof text !== 'string')) throw bad('It is not signed.');
    const signer = this.#signerOf(chain);
    const { clock, identity } = this.#parts;
    if (clock.wall() >= signer.notAfter) throw bad('The certificate that it is signed with has expired.');
    const hash = signer.key.asymmetricKeyType === 'ec' ? 'sha256' : null;
    if (!verify(hash, signedOctets(statement), signer.key, Buffer.from(signature, 'base64'))) {
      throw bad('It was changed after it was signed.');
    }
    const said = JSON.parse(statement) as FeedStatement & StatementFrame;
    if (said.trust_domain !== identity.trustDomain) throw bad('It is of another trust domain.');
    this.#requireStanding(signer, said.vouchers ?? []);
    return said;
  }

  /**
   * What is signed below an authority that is held counts when those above it say that it is good again: that is how a
   * follower hears of the release. Its own word would be that of whoever has its key.
   */
  #requireStanding({ subjects, chain }: Signer, vouchers: readonly string[]): void {
    for (const subject of subjects) {
      const fall = this.#parts.fallen(subject);
      if (fall === undefined) continue;
      if (fall === 'stopped') throw bad('The server that signed it was stopped.');
      if (!isVouched({ subject, ...fall, chain, vouchers })) {
        throw bad('The server that signed it is held, or the authority that certified it.');
      }
    }
  }

  #signerOf(chain: readonly string[]): Signer {
    const { roots } = this.#parts.identity;
    if (roots !== this.#roots) this.#signers.clear();
    this.#roots = roots;
    const name = chain.join();
    const known = this.#signers.get(name);
    if (known !== undefined) return known;
    const signer = this.#verify(chain, roots);
    if (this.#signers.size >= MOST) this.#signers.delete(this.#signers.keys().next().value!);
    this.#signers.set(name, signer);
    return signer;
  }

  #verify(chain: readonly string[], roots: readonly string[]): Signer {
    const [leaf, ...intermediates] = chain.slice(0, LONGEST_CHAIN).map((one) => read(Buffer.from(one, 'base64')));
    if (leaf === undefined) throw bad('It is not signed.');
    const path = validatePath({
      ...{ leaf, intermediates, anchors: roots.map((pem) => read(decodePem(pem, 'CERTIFICATE'))) },
      at: this.#parts.clock.wall(),
      policy: RFC5280,
      purpose: 'server',
      keyUsage: 'digitalSignature',
    });
    if (!path.valid) throw bad(`The chain that it is signed with was not accepted: ${path.detail}`);
    const { id, subjects } = certificateFacts(leaf.raw, this.#parts.identity.trustDomain);
    if (!compileRule(SERVER_RULE, this.#parts.identity.trustDomain)(id)) {
      throw bad(`It is signed by ${id.uri}, who is no server of the authority.`);
    }
    const key = new X509Certificate(leaf.raw).publicKey;
    if (!/^(?:ec|ed25519|ml-dsa-\d+)$/.test(key.asymmetricKeyType!))
      throw bad('It is signed with another kind of key.');
    return {
      key,
      notAfter: Math.min(...path.path.map(({ notAfter }) => notAfter)),
      subjects: [...subjects, ...issuersAlong(path.path)],
      chain: path.path,
    };
  }
}

function read(der: Uint8Array): Certificate {
  return parseCertificate(der);
}

function bad(why: string): WritError {
  return new WritError('bad_certificate', why, {
    remedy: 'Ask who runs the relay; until then read the feed from another, or from the authority.',
  });
}
