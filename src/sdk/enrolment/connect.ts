import { readFile } from 'node:fs/promises';
import { type Clock, systemClock } from '../../base/clock.ts';
import { WritError } from '../../base/error.ts';
import type { WithEvidence } from '../evidence/source.ts';
import { Identity } from '../identity/identity.ts';
import { enrol, isRefused, openAuthority } from './authority.ts';
import { type Kept, loadIdentity, prepareStore, saveIdentity } from './store.ts';
import { enrolWithEvidence, proofOf } from './with-evidence.ts';

export interface ConnectOptions {
  /** The join token, as "writ token create" printed it. Needed once, unless `store` still holds a living identity. */
  readonly token?: string | undefined;
  /** File with the join token: a secret in a file is in no process list. */
  readonly tokenFile?: string | undefined;
  /**
   * Directory in which key and certificate are kept, for their owner alone, so that a restart of the program goes on with
   * its instance. For one running program at a time. Absent: memory only, and a restart enrols a new instance.
   */
  readonly store?: string | undefined;
  /** Evidence that an attestor of the server vouches for, in place of a token; and the server, which no token names then. */
  readonly evidence?: WithEvidence | undefined;
  readonly clock?: Clock | undefined;
}

/**
 * An identity for this running program: enrols with the token, or goes on with what `store` holds, and renews from then
 * on. Throws as `enrol` does, `bad_token` when neither a token nor a living stored identity is there, and `bad_config`, before
 * a token is spent, when none could be stored.
 */
export async function connect(options: ConnectOptions): Promise<Identity> {
  const { store, evidence, clock = systemClock } = options;
  const kept = store === undefined ? undefined : await loadIdentity(store);
  const living = kept !== undefined && (await isAlive(kept, clock)) ? kept : undefined;
  const found = living ?? (await letIn(options));
  if (store !== undefined && living === undefined) await saveIdentity(store, found);
  const { credential, home } = found;
  const identity = new Identity(credential, openAuthority(home, credential.spiffeId, proofOf(evidence)), {
    ...{ clock, kept: living !== undefined },
  });
  // By this clock it was not issued yet: nobody knows how much of its life is left.
  if (living !== undefined && clock.now() < credential.notBefore) {
    identity.renew().catch((error: Error) => identity.emit('failed', error));
  }
  if (store !== undefined) {
    identity.on('renewed', (next) => {
      saveIdentity(store, { home: { ...home, roots: next.roots }, credential: next }).catch((error: Error) =>
        identity.emit('failed', error),
      );
    });
  }
  return identity;
}

async function letIn(options: ConnectOptions): Promise<Kept> {
  const { evidence, store } = options;
  const token = evidence === undefined ? await tokenOf(options) : '';
  // What lets in may do so once.
  if (store !== undefined) await prepareStore(store);
  return evidence === undefined ? enrol(token) : enrolWithEvidence(evidence);
}

async function isAlive({ credential, home }: Kept, clock: Clock): Promise<boolean> {
  return credential.notAfter > clock.now() && !(await isRefused(home, credential));
}

async function tokenOf({ token, tokenFile }: ConnectOptions): Promise<string> {
  if (token !== undefined && token !== '') return token;
  if (tokenFile !== undefined) {
    try {
      return await readFile(tokenFile, 'utf8');
    } catch (cause) {
      throw new WritError('bad_token', 'The file with the join token cannot be read.', {
        field: 'tokenFile',
        remedy: `Check the path: ${tokenFile}`,
        cause,
      });
    }
  }
  throw new WritError('bad_token', 'There is no join token, and no stored identity that is still valid.', {
    field: 'token',
    remedy: 'Pass the token that "writ token create" prints.',
  });
}
