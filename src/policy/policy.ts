import type { AccessRequest, Authorize, Verdict } from '../base/access.ts';
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { Epoch } from '../db/batch.ts';
import type { Reader } from '../db/database.ts';
import type { People } from './administrator.ts';
import { answer } from './answer.ts';
import { Cedar } from './cedar.ts';
import { Decider } from './decide.ts';
import { type Explanation, explain } from './explain.ts';
import type { Guard } from './guard.ts';
import { readRules } from './rules.ts';
import { readPolicySet, readPolicyVersion } from './store.ts';
import { schemaText } from './text-files.ts';

/** The epoch, and when it was last known to be the stored one. */
interface WatchedEpoch extends Epoch {
  /** Milliseconds. */
  confirmedAt(): number;
}

export interface PolicyParts {
  readonly reader: Reader;
  readonly epoch: WatchedEpoch;
  readonly clock: Clock;
  readonly guard: Guard;
  readonly log: Log;
  /** Groups of the operators by name: `registry/` knows them, and a change of them bumps the epoch. Absent: there are none. */
  readonly groups?: () => Promise<ReadonlyMap<string, readonly string[]>>;
  /** Emergency access by operator: id, and when it ends. A change of it bumps the epoch. Absent: nobody has any. */
  readonly emergencies?: () => Promise<ReadonlyMap<string, EmergencyAccess>>;
  /** How many people could agree to what the administrator does. Absent: nobody. */
  readonly people?: () => Promise<People>;
  /** Told of every refusal, for the record. Never waited for. */
  readonly refused?: (request: AccessRequest, verdict: Extract<Verdict, { allowed: false }>) => void;
}

interface EmergencyAccess {
  readonly id: string;
  /** Milliseconds: from then on it is over. */
  readonly endsAt: number;
}

/** The group of whoever has emergency access, for as long as it lasts. */
const BREAK_GLASS = 'break-glass';

/** For so long, in milliseconds, a set still decides when it cannot be known whether another is in force. */
const STALE_AFTER = 5000;

/**
 * The policy set in force, as one thread knows it, behind the guard: what answers every flow's question.
 *
 * `fresh()` is called once at the beginning of each request: it costs a comparison while the epoch stays, and otherwise
 * finds out whether another set is in force. So a request that begins after a publication was acknowledged is decided by
 * the new set. What is decided meanwhile by the former one is caught by its commit (`requirePolicyVersion`).
 */
export class Policy {
  readonly #parts: PolicyParts;
  /** The one that decides, and one for texts that nobody has checked yet. */
  #cedar: Cedar | undefined;
  #trial: Cedar | undefined;
  /** Undefined while none is loaded and when the one in force cannot be used; then everything is refused. */
  #decider: Decider | undefined;
  /** Version of the set that was last looked at, whether it can be used or not. */
  #loaded: number | undefined;
  /** The epoch under which the set was last known to be in force, and when that was. */
  #epoch = -1;
  #knownAt = Number.NEGATIVE_INFINITY;
  #loading: Promise<void> | undefined;
  #groups: ReadonlyMap<string, readonly string[]> = new Map();
  #people: People | undefined;
  #emergencies: ReadonlyMap<string, EmergencyAccess> = new Map();

  constructor(parts: PolicyParts) {
    this.#parts = parts;
  }

  /** Never throws: whatever goes wrong is a refusal. */
  readonly authorize: Authorize = (request) => {
    const verdict = this.#decide(request);
    if (!verdict.allowed) this.#parts.refused?.(request, verdict);
    return verdict;
  };

  /** Resolves when the set in force is loaded, or could not be; then `authorize` refuses before long. */
  fresh(): Promise<void> {
    if (this.#isFresh()) {
      this.#knownAt = this.#parts.clock.now();
      return FRESH;
    }
    // A load that is under way may have looked before what this caller must see; one that begins from here on has not.
    const before = this.#loading;
    if (before === undefined) return this.#startLoading();
    return before.then(() => (this.#isFresh() ? undefined : (this.#loading ?? this.#startLoading())));
  }

  #startLoading(): Promise<void> {
    this.#loading = this.#load().finally(() => {
      this.#loading = undefined;
    });
    return this.#loading;
  }

  /** Which rules decide, in sentences. Records nothing. */
  explain(request: AccessRequest): Explanation {
    return explain(request, this.#decide(request), this.#decider?.rules ?? new Map());
  }

  /** Version of the set that decides; 0 when none is loaded. */
  get version(): number {
    return this.#decider?.version ?? 0;
  }

  /** For whoever checks and tries policy sets: never the Cedar that decides, since a text can break the one it is given to. */
  get cedar(): Cedar {
    if (this.#trial === undefined || this.#trial.broken) this.#trial = new Cedar(schemaText());
    return this.#trial;
  }

  /** Frees the set; everything is refused from here on, until `fresh()` finds another. */
  close(): void {
    this.#decider?.drop();
    this.#decider = undefined;
    this.#loaded = undefined;
    this.#epoch = -1;
  }

  #isFresh(): boolean {
    return this.#epoch === this.#parts.epoch.current();
  }

  #decide(request: AccessRequest): Verdict {
    const { guard, log } = this.#parts;
    // Also of one that cannot be used: what needs no rule, on the server's machine, is committed under it.
    const version = this.#loaded ?? 0;
    const people = this.#parts.people === undefined ? NO_PEOPLE : this.#people;
    try {
      return answer(request, guard, { version, people, decide: (asked) => this.#rule(asked) });
    } catch (error) {
      log.error('decision failed', { action: request.action, error: error instanceof Error ? error.name : 'unknown' });
      return refusal(FAILED, version);
    }
  }

  #rule(request: AccessRequest): Verdict {
    const { clock, epoch, log } = this.#parts;
    const now = clock.now();
    const fresh = this.#isFresh();
    // Whoever forgot to ask for freshness gets it for the next request.
    if (!fresh) void this.fresh();
    if (this.#decider === undefined) return refusal(NOT_KNOWN, 0);
    if (now - (fresh ? epoch.confirmedAt() : this.#knownAt) > STALE_AFTER) return refusal(NOT_KNOWN, this.version);
    const asked = this.#withGroups(request);
    let { verdict, failure } = this.#decider.decide(asked, now);
    const emergency = verdict.allowed ? undefined : this.#emergencyOf(request, now);
    if (!verdict.allowed && failure === undefined && emergency !== undefined) {
      const { caller } = asked;
      const groups = [...(caller.groups ?? []), BREAK_GLASS];
      const second = this.#decider.decide({ ...asked, caller: { ...caller, groups } }, now);
      failure = second.failure;
      if (second.verdict.allowed) verdict = { ...second.verdict, emergency: emergency.id };
    }
    if (failure !== undefined) {
      log.error('policy evaluation failed', { action: request.action, version: this.version });
    }
    // The next request finds the set loaded into another.
    if (this.#cedar?.broken === true) this.close();
    const { groups = [] } = asked.caller;
    return groups.length === 0 ? verdict : { ...verdict, groups };
  }

  #emergencyOf({ caller }: AccessRequest, now: number): EmergencyAccess | undefined {
    const found = caller.operator === undefined ? undefined : this.#emergencies.get(caller.operator);
    return found !== undefined && now < found.endsAt ? found : undefined;
  }

  #withGroups(request: AccessRequest): AccessRequest {
    const { caller } = request;
    const groups = caller.operator === undefined ? undefined : this.#groups.get(caller.operator);
    if (groups === undefined && caller.groups === undefined) return request;
    return { ...request, caller: { ...caller, groups: groups ?? [] } };
  }

  async #load(): Promise<void> {
    const { reader, epoch, clock, log } = this.#parts;
    // Taken before the version is read: what is published in between is noticed the next time.
    const under = epoch.current();
    try {
      const version = await readPolicyVersion(reader);
      if (version !== this.#loaded) await this.#replace();
      this.#groups = (await this.#parts.groups?.()) ?? new Map();
      this.#people = await this.#parts.people?.();
      this.#emergencies = (await this.#parts.emergencies?.()) ?? new Map();
      this.#epoch = under;
      this.#knownAt = clock.now();
    } catch (error) {
      this.#people = undefined;
      log.error('policy set not loaded', { reason: error instanceof Error ? error.message : 'unknown' });
    }
  }

  /** Loads the set in force. From here on the former one decides nothing, also when this one cannot be used. */
  async #replace(): Promise<void> {
    const { reader, log } = this.#parts;
    const set = await readPolicySet(reader);
    this.close();
    if (set === undefined) {
      log.error('policy set missing');
      return;
    }
    if (this.#cedar === undefined || this.#cedar.broken) this.#cedar = new Cedar(schemaText());
    const read = readRules(this.#cedar, set.text, set.schemaDigest);
    this.#loaded = set.version;
    if ('findings' in read) {
      log.error('policy set does not fit this version of Writ', { version: set.version });
      return;
    }
    this.#decider = new Decider(this.#cedar, { version: set.version, rules: read.rules });
    log.debug('policy set loaded', { version: set.version, digest: set.digest });
  }
}

const NO_PEOPLE: People = { all: 0, ofGroup: new Map() };
const FRESH: Promise<void> = Promise.resolve();
const NOT_KNOWN = 'The policy set is not known to be in force, so everything is refused.';
const FAILED = 'The request could not be decided, so it is refused.';

function refusal(reason: string, policyVersion: number): Verdict {
  return { allowed: false, rules: [], reasons: [reason], policyVersion };
}
