import type { Clock } from '../../base/clock.ts';
import { isWritError } from '../../base/error.ts';
import type { Log, LogFields } from '../../base/log.ts';
import type { Random } from '../../base/random.ts';
import { dueItems } from '../../ca/authority/due.ts';
import { issuingLifetime } from '../../ca/authority/issuing-lifetime.ts';
import { maintain } from '../../ca/authority/maintain.ts';
import { activeOf, rootsOf } from '../../ca/authority.ts';
import { settleBundle } from '../../ca/bundle/bundle.ts';
import { keepSvidKeys } from '../../ca/bundle/svid-keys.ts';
import { readHierarchy } from '../../ca/hierarchy.ts';
import { readProfiles } from '../../ca/profile/store.ts';
import type { CommitBatch } from '../../db/batch.ts';
import type { Database } from '../../db/database.ts';
import type { TlsIdentity } from '../../http/tls.ts';
import { keepDomains } from '../../spiffe/domain/rotate.ts';
import { domainKeepParts } from './domain-operations.ts';
import { type FollowedKeyring, keyringGeneration } from './followed-keyring.ts';
import { leftStops } from './left-stops.ts';
import { makeServerIdentity, type ServerIdentity, trustedBy } from './server-identity.ts';
import { sweep } from './sweep.ts';
import type { ThreadParts } from './thread-parts.ts';

export interface UpkeepMeans {
  readonly reader: Database;
  readonly commit: CommitBatch;
  readonly keyring: FollowedKeyring;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** What the main thread itself issues with. */
  readonly own: ThreadParts;
  /** The identity that the listeners began with. */
  readonly identity: ServerIdentity;
  /** Names and addresses under which clients reach this server. */
  readonly names: readonly string[];
  readonly retentionDays: number;
  /** Hands a new identity to the listeners. Established connections live on. */
  show(identity: TlsIdentity): void;
  /** Hands the keyring to the other threads after the passphrase was changed. */
  share(): void;
  /** Has what is past its time dropped; milliseconds. */
  purge(before: number): void;
  /** Milliseconds between two looks at what is due. Default one minute. */
  readonly every?: number;
}

/**
 * How often this process looks whether another thread or process changed something. It costs a comparison; the epoch is
 * polled from the database every 200 ms.
 */
const FOLLOW_MS = 100;
/** After a failure. */
const FOLLOW_AGAIN_MS = 2000;
const MAINTAIN_MS = 60_000;
const PURGE_MS = 600_000;
const SWEEP_MS = 10_000;
const FINISH_MS = 5000;
const DAY_MS = 86_400_000;

/**
 * What a running server does by itself: keeps authorities, its own certificate and its list of trust up to date, finishes
 * stops that were left, takes out what is past its time, and says once a day what a person has to do. Gives a function that ends it.
 */
export function startUpkeep(means: UpkeepMeans): () => void {
  const { reader, commit, keyring, clock, random, log, own, retentionDays, every = MAINTAIN_MS } = means;
  let identity = means.identity;
  let seen = -1;
  /** Ids of the roots that the bundle was looked at with. */
  let published: string | undefined;
  let followAgainAt = 0;
  let announced = Number.NEGATIVE_INFINITY;
  let locked: number | undefined;

  /** Opens the keyring anew after a change of passphrase. Where that fails the server goes on with the keys it has. */
  const followPassphrase = async (): Promise<void> => {
    const generation = await keyringGeneration(reader);
    if (generation === keyring.generation || generation === undefined) return;
    try {
      await keyring.reopen();
      means.share();
      log.info('passphrase followed', { generation });
    } catch (error) {
      if (locked !== generation) log.error('passphrase not followed', whyOf(error));
      locked = generation;
    }
  };

  /** Takes over what was committed elsewhere: the passphrase, the authorities, and with them trust and certificate. */
  const follow = async (): Promise<void> => {
    const epoch = own.epoch.current();
    await followPassphrase();
    await own.issuance.refresh();
    const authorities = own.authority.authorities();
    const issuer = activeOf(authorities, 'issuing')?.id;
    const trusted = trustedBy(authorities);
    if (issuer !== undefined && (issuer !== identity.issuer || clock.now() >= identity.renewAt)) {
      identity = await makeServerIdentity(means.names, own);
      log.info('server certificate renewed', { issuer: identity.issuer });
      means.show(identity.tls);
    } else if (trusted.join() !== identity.tls.trusted.join()) {
      identity = { ...identity, tls: { ...identity.tls, trusted } };
      means.show(identity.tls);
    }
    const anchors = rootsOf(authorities)
      .map(({ id }) => id)
      .join();
    if (anchors !== published) await settleBundle({ reader, commit, clock });
    published = anchors;
    seen = epoch;
  };

  const keepUp = async (): Promise<void> => {
    const done = await maintain({ reader, commit, keyring, statusUrl: own.statusUrl, clock, random });
    for (const step of done) log.info('authorities maintained', { step: step.do });
    const keys = await keepSvidKeys({ reader, commit, keyring, clock, random });
    if (keys !== undefined) log.info('keys of JWT-SVIDs maintained', { done: keys });
    await settleBundle({ reader, commit, clock });
    for (const step of await keepDomains({ ...domainKeepParts(own), keyring })) {
      log.info('further trust domains maintained', { step });
    }
    await follow();
    if (clock.now() - announced < DAY_MS) return;
    announced = clock.now();
    await announce(reader, clock, log);
  };

  let busy = false;
  /** One at a time: both look at the same things and change them. */
  const alone = (what: string, act: () => Promise<void>): void => {
    if (busy) return;
    busy = true;
    act()
      .catch((error: unknown) => {
        followAgainAt = clock.now() + FOLLOW_AGAIN_MS;
        log.error(`${what} failed`, whyOf(error));
      })
      .finally(() => {
        busy = false;
      });
  };
  let sweeping = false;
  const sweepOnce = (): void => {
    if (sweeping) return;
    sweeping = true;
    sweep({ reader, commit, clock, retentionDays })
      .catch((error: unknown) => log.error('sweep failed', whyOf(error)))
      .finally(() => {
        sweeping = false;
      });
  };
  const finishLeft = leftStops({ reader, certificates: own.certificates, commit, clock });
  let finishing = false;
  const finishOnce = (): void => {
    if (finishing) return;
    finishing = true;
    finishLeft()
      .then((stops) => stops > 0 && log.warn('stops finished that were left', { stops }))
      .catch((error: unknown) => log.error('finishing stops failed', whyOf(error)))
      .finally(() => {
        finishing = false;
      });
  };
  const purge = (): void => means.purge(clock.now() - retentionDays * DAY_MS);

  const timers = [
    setInterval(() => {
      if (own.epoch.current() !== seen && clock.now() >= followAgainAt) alone('following', follow);
    }, FOLLOW_MS),
    setInterval(() => alone('maintenance', keepUp), every),
    setInterval(sweepOnce, SWEEP_MS),
    setInterval(finishOnce, FINISH_MS),
    setInterval(purge, PURGE_MS),
  ];
  alone('maintenance', keepUp);
  purge();
  return () => {
    for (const timer of timers) clearInterval(timer);
  };
}

function whyOf(error: unknown): LogFields {
  const { message } = error as Error;
  return isWritError(error) && error.remedy !== undefined
    ? { error: message, remedy: error.remedy }
    : { error: message };
}

/** Puts into the log what needs a key that is not on this machine. */
async function announce(reader: Database, clock: Clock, log: Log): Promise<void> {
  const hierarchy = await readHierarchy(reader);
  if (hierarchy === undefined) return;
  const profiles = (await readProfiles(reader)).map(({ profile }) => profile);
  for (const item of dueItems(hierarchy, { now: clock.now(), issuingLifetime: issuingLifetime(profiles) })) {
    const { what, dueAt, overdue, message, command } = item;
    const fields = { what, by: new Date(dueAt).toISOString(), message, command };
    if (overdue) log.error('overdue', fields);
    else log.warn('due', fields);
  }
}
