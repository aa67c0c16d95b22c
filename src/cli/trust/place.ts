import { createHash, X509Certificate } from 'node:crypto';
import { encodePem } from '../../der/pem.ts';

/** The stores of trust that programs of a machine look into. */
export const STORES = ['system', 'java', 'node', 'python', 'browser'] as const;
export type StoreName = (typeof STORES)[number];

/** A root that is to be trusted. */
export interface Root {
  readonly der: Uint8Array;
  readonly pem: string;
  /** SHA-256, lower-case hex. */
  readonly fingerprint: string;
  /** A name for it that no other root has: letters, digits and dashes. */
  readonly name: string;
}

export function rootOf(der: Uint8Array): Root {
  const fingerprint = createHash('sha256').update(der).digest('hex');
  return { der, pem: encodePem('CERTIFICATE', der), fingerprint, name: `writ-${fingerprint.slice(0, 16)}` };
}

/** Whether a text in PEM holds just this certificate. */
export function isThat(pem: string, root: Root): boolean {
  try {
    return Buffer.compare(new X509Certificate(pem).raw, root.der) === 0;
  } catch {
    return false;
  }
}

/** One store of trust on this machine: a directory, a file, a data base. */
export interface Place {
  readonly store: StoreName;
  /** Path. */
  readonly where: string;
  /** What a person has to do besides, so that programs look there. */
  readonly hint?: string;
  /** Whether the root is there under our name for it. */
  has(root: Root): Promise<boolean>;
  put(root: Root): Promise<void>;
  /** Takes out what `put` has put in, and nothing else. */
  take(root: Root): Promise<void>;
}

/** What places are made from: this machine, but in tests. */
export interface Machine {
  readonly home: string;
  /** Directories into which a system's own tool looks for further roots, and that tool. The first that is there counts. */
  readonly anchors: readonly {
    readonly directory: string;
    readonly refresh: readonly string[];
    /** Where the tool makes something of what lies in the directory, and leaves it when that has gone. */
    readonly leaves?: { readonly links: string; readonly keyStore: string };
  }[];
  /** Key stores of Java. */
  readonly keyStores: () => Promise<readonly string[]>;
  /** Files of roots that Python's certifi has. */
  readonly certifi: () => Promise<readonly string[]>;
  /** Runs a program; its standard output. Rejects where it is not there (`ENOENT`) or fails. */
  readonly run: (program: string, args: readonly string[], input?: string) => Promise<string>;
}
