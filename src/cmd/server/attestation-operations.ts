import { attestEvidence, type EvidenceParts } from '../../attest/attest-evidence.ts';
import type { Attestation } from '../../attest/attested.ts';
import { parseSettings } from '../../attest/attestor/kinds.ts';
import { addAttestor, removeAttestor, showAttestor, showAttestors } from '../../attest/attestor/manage.ts';
import { checkEvidence } from '../../attest/check-evidence.ts';
import { createChallenge } from '../../attest/create-challenge.ts';
import { EntryCache } from '../../attest/entry/cache.ts';
import { createEntry, removeEntry, showEntries, showEntry } from '../../attest/entry/manage.ts';
import { showOwnEntries } from '../../attest/entry/own.ts';
import { recordRefusedWorkloads, refusalLimit } from '../../attest/entry/refused-workloads.ts';
import { attestJoinToken } from '../../attest/token/join-token.ts';
import { withRuntime } from '../../attest/with-runtime.ts';
import type { Caller } from '../../base/access.ts';
import { rootsOf } from '../../ca/authority.ts';
import { readProfile } from '../../ca/profile/store.ts';
import { enrol } from '../../issuance/enrol.ts';
import { startOwned } from '../../issuance/owned.ts';
import { renewWorkload } from '../../issuance/renew-workload.ts';
import { enrolWorkload } from '../../issuance/workload.ts';
import { derivedSecret } from '../../keys/derived-secret.ts';
import { createLookup } from '../../registry/lookup.ts';
import { attestorOperations } from '../../rest/attestors.ts';
import { entryOperations } from '../../rest/entries.ts';
import type { Operation } from '../../rest/operation.ts';
import { type Svids, svidOperations } from '../../rest/svid.ts';
import { workloadOperations } from '../../rest/workloads.ts';
import { parseJoinToken } from '../../wire/join-token.ts';
import { parseCsr } from '../../x509/csr.ts';
import { driftHeld } from './drifted.ts';
import { evidenceVerifiers } from './evidence-verifiers.ts';
import { forCaller } from './for-caller.ts';
import type { ThreadParts } from './thread-parts.ts';

const STRANGER: Caller = { kind: 'anonymous', id: 'anonymous' };

/** How those are asked who vouch for newcomers. */
type Issuers = Omit<Parameters<typeof evidenceVerifiers>[0], 'clock'>;

/** Who is let in on which evidence: attestors, registration entries, and the doors for those who come with it. */
export function attestationOperations(parts: ThreadParts, issuers: Issuers): Operation[] {
  const { reader, commit, clock, random, policy, issuance, authority, keyring } = parts;
  const { authorize } = policy;
  const registered = createLookup(reader);
  const verifiers = evidenceVerifiers({ clock, ...issuers });
  const known = new EntryCache(reader);
  const entries = {
    ...{ reader, authorize, commit, clock, random, registered, entries: known },
    async lifetimeFits(name: string, seconds: number) {
      const lifetime = (await readProfile(reader, name))?.profile.lifetime;
      return lifetime !== undefined && seconds >= lifetime.least && seconds <= lifetime.most;
    },
  };
  const attestors = {
    ...{ reader, authorize, commit, clock },
    checkSettings: (settings: Parameters<typeof parseSettings>[0]) => void parseSettings(settings, verifiers),
  };
  const evidence = (): EvidenceParts => ({
    ...{ reader, clock, random, verifiers, entries: known },
    fetch: issuers.fetch,
    // Of the keyring as it is now: it changes with the passphrase.
    secret: derivedSecret(keyring, 'attestation'),
  });
  const changingEntries = forCaller(entries, parts, { policy: true });
  const refusing = forCaller({ ...entries, limit: refusalLimit() }, parts, { policy: true });
  const changingAttestors = forCaller(attestors, parts, { policy: true });
  // The flows that issue hold the policy version themselves, since they may go on under another.
  const issuing = forCaller(issuance, parts, { policy: false });
  const roots = () => rootsOf(authority.authorities()).map(({ certificate }) => certificate.raw);
  const drift = driftHeld(parts);

  const attest = async ({
    evidence: given,
    csr,
    agent,
    runtime,
  }: Parameters<Svids['request']>[0]): Promise<Attestation> => {
    if (given.kind !== 'join-token') {
      return attestEvidence(given, { spki: parseCsr(csr).publicKey.spki, agent, runtime }, evidence());
    }
    const instances = registered;
    const attestation = await attestJoinToken(parseJoinToken(given.token), { reader, clock, instances });
    return withRuntime(attestation, { runtime, agent }, reader);
  };

  return [
    ...attestorOperations({
      add: async (caller, input, options) => addAttestor(caller, input, await changingAttestors(caller), options),
      list: (caller, page) => showAttestors(caller, page, attestors),
      show: (caller, name) => showAttestor(caller, name, attestors),
      remove: async (caller, name, options) => removeAttestor(caller, name, await changingAttestors(caller), options),
      check: (caller, given) => checkEvidence(caller, given, { ...evidence(), authorize }),
    }),
    ...entryOperations({
      create: async (caller, input, options) => createEntry(caller, input, await changingEntries(caller), options),
      list: (caller, filter, page) => showEntries(caller, filter, page, entries),
      show: (caller, id) => showEntry(caller, id, entries),
      remove: async (caller, id, options) => removeEntry(caller, id, await changingEntries(caller), options),
      own: (caller, query) => showOwnEntries(caller, query, entries),
    }),
    ...workloadOperations({
      enrol: async (caller, request) => enrolWorkload(caller, request, await issuing(caller)),
      start: async (caller, request) =>
        startOwned(caller, request, { ...(await issuing(caller)), ...drift, entries: known }),
      refused: async (caller, refusals, options) =>
        recordRefusedWorkloads(caller, refusals, await refusing(caller), options),
      renew: async (caller, request) => renewWorkload(caller, request, { ...(await issuing(caller)), ...drift }),
      roots,
    }),
    ...svidOperations({
      request: async (request) => enrol(STRANGER, { ...request, evidence: await attest(request) }, issuance),
      challenge: (request) => createChallenge(request, evidence()),
      roots,
    }),
  ];
}
