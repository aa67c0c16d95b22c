import { createPrivateKey, type KeyObject, sign, X509Certificate } from 'node:crypto';
import type { TlsIdentity } from '../../http/tls.ts';
import {
  type FeedStatement,
  type SignedStatement,
  type StatementFrame,
  signedOctets,
} from '../../wire/feed-statement.ts';

/**
 * Signs what the feed says with the key of the server's own certificate, for whoever follows through a relay: it is believed
 * as far as the server itself would be over TLS, by the root that the follower has, and no further.
 */
export class FeedSigner {
  readonly #trustDomain: string;
  #key!: KeyObject;
  #chain!: readonly string[];
  #vouchers: readonly string[] = [];

  constructor(trustDomain: string, identity: Pick<TlsIdentity, 'key' | 'chain'>) {
    this.#trustDomain = trustDomain;
    this.setIdentity(identity);
  }

  /** Signs with another key from now on. */
  setIdentity({ key, chain }: Pick<TlsIdentity, 'key' | 'chain'>): void {
    this.#key = createPrivateKey(key);
    const certificates = chain.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
    this.#chain = certificates.map((pem) => new X509Certificate(pem).raw.toString('base64'));
  }

  /** Of the certificate that it signs with and those above it, without the root: DER. */
  get chain(): readonly Uint8Array[] {
    return this.#chain.map((one) => Buffer.from(one, 'base64'));
  }

  /** What it says comes with these from now on: base64 of DER. */
  setVouchers(vouchers: readonly string[]): void {
    this.#vouchers = vouchers;
  }

  sign(said: FeedStatement): SignedStatement {
    const frame: StatementFrame = {
      trust_domain: this.#trustDomain,
      ...(this.#vouchers.length === 0 ? {} : { vouchers: this.#vouchers }),
    };
    const statement = JSON.stringify({ ...frame, ...said });
    const hash = this.#key.asymmetricKeyType === 'ec' ? 'sha256' : null;
    const signature = sign(hash, signedOctets(statement), this.#key).toString('base64');
    return { chain: this.#chain, statement, signature };
  }
}
