import { readInstanceEvidence } from '../../attest/evidence-store.ts';
import type { TokenParts } from '../../attest/flow.ts';
import { createToken } from '../../attest/token/create.ts';
import { attestJoinToken } from '../../attest/token/join-token.ts';
import { revokeToken, showToken, showTokens } from '../../attest/token/manage.ts';
import { demand } from '../../base/demand.ts';
import { rotateIssuing } from '../../ca/authority/maintain.ts';
import { requestRotation, showAuthorities, showAuthority } from '../../ca/authority/show.ts';
import { rootsOf } from '../../ca/authority.ts';
import { spiffeBundle } from '../../ca/bundle/bundle.ts';
import { publishProfile, showProfile, showProfiles } from '../../ca/profile/publish.ts';
import { readProfile } from '../../ca/profile/store.ts';
import { requireNoDrift } from '../../issuance/drift.ts';
import { enrol } from '../../issuance/enrol.ts';
import { issueForInstance } from '../../issuance/issue-for-instance.ts';
import { renewCertificate } from '../../issuance/renew.ts';
import { replaceCertificate } from '../../issuance/replace.ts';
import { publishPolicy, showPolicy } from '../../policy/publish.ts';
import type { AgentKind } from '../../registry/agent.ts';
import type { RegistryParts } from '../../registry/flow.ts';
import { createLookup } from '../../registry/lookup.ts';
import { changeOwner, showOwners } from '../../registry/owners.ts';
import { registerAgent } from '../../registry/register.ts';
import { showAgent, showAgents, showInstance, showInstances } from '../../registry/show.ts';
import { STOPS_A_MINUTE } from '../../registry/stop-rate.ts';
import { changeAgent } from '../../registry/update.ts';
import { certificateList, certificatesAt } from '../../report/certificates.ts';
import type { ReportParts } from '../../report/parts.ts';
import { showCertificate } from '../../report/show.ts';
import { trace } from '../../report/trace.ts';
import { agentOperations } from '../../rest/agents.ts';
import { authorityOperations } from '../../rest/authorities.ts';
import { certificateReportOperations } from '../../rest/certificate-reports.ts';
import { certificateOperations } from '../../rest/certificates.ts';
import { instanceOperations } from '../../rest/instances.ts';
import type { Operation } from '../../rest/operation.ts';
import { ownerOperations } from '../../rest/owners.ts';
import { policyOperations } from '../../rest/policy.ts';
import { profileOperations } from '../../rest/profiles.ts';
import { tokenOperations } from '../../rest/tokens.ts';
import { trustOperations } from '../../rest/trust.ts';
import { settleCertificates } from '../../revocation/hold-certificates.ts';
import { settleOrphans } from '../../revocation/orphans.ts';
import { revokeCertificate } from '../../revocation/revoke.ts';
import { stopAgent } from '../../revocation/stop-agent.ts';
import { stopInstance } from '../../revocation/stop-instance.ts';
import { parseJoinToken } from '../../wire/join-token.ts';
import { isWithinSubtrees } from '../../x509/path/host-name.ts';
import { approvalOperations } from './approval-operations.ts';
import { cordOperations, cordParts } from './cord-operations.ts';
import { driftHeld } from './drifted.ts';
import { forCaller } from './for-caller.ts';
import { issuingLearned } from './issuing-learned.ts';
import { publishedBundle } from './jwt-operations.ts';
import { PolicyChecker } from './policy-checker.ts';
import { signedByModule } from './signed-by-module.ts';
import type { ThreadParts } from './thread-parts.ts';

/** Where join tokens tell their bearers to go, and how to know the server there. */
export type ServerAddress = TokenParts['server'];

const INSTALLATION = { type: 'Installation', id: 'writ' } as const;

/** The operations that change and show what exists: each a thin line from a route to its flow. */
export function registryOperations(parts: ThreadParts, server: ServerAddress): Operation[] {
  const { reader, commit, clock, random, policy, stopsAMinute = STOPS_A_MINUTE } = parts;
  const { authorize } = policy;
  const registry: RegistryParts = {
    reader,
    authorize,
    commit,
    clock,
    random,
    stopsAMinute,
    profileFits: async (name, kind) =>
      (await readProfile(reader, name))?.profile.subjects.includes(kind satisfies AgentKind) === true,
    async namesFit(name, dnsNames) {
      const subtrees = (await readProfile(reader, name))?.profile.dns ?? [];
      return dnsNames.every((one) => isWithinSubtrees(one, subtrees));
    },
  };
  const revocation = cordParts(parts);
  const registered = createLookup(reader);
  const tokens: TokenParts = { reader, authorize, commit, clock, random, registered, server };
  const changing = forCaller(registry, parts, { policy: true });
  const letting = forCaller(tokens, parts, { policy: true });
  const withdrawing = forCaller(tokens, parts, { policy: false });
  const stopping = forCaller(cordParts(parts), parts, { policy: false });
  return [
    ...agentOperations({
      register: async (caller, input, options) => registerAgent(caller, input, await changing(caller), options),
      async change(caller, { name, change }, options) {
        const agent = await changeAgent(caller, { name, change }, await changing(caller), options);
        // Another team answers for it now, or what it is marked with is held.
        if (change.owner !== undefined || change.labels !== undefined) await settleCertificates(name, revocation);
        return agent;
      },
      retire: async (caller, { name, kind, ...why }, options) =>
        stopAgent(caller, { name, ...(kind === undefined ? {} : { kind }), ...why }, await stopping(caller), options),
      show: (caller, { name, kind }) => showAgent(caller, name, registry, kind),
      list: (caller, filter, page) => showAgents(caller, filter, page, registry),
      instances: (caller, { name, status }, page) =>
        showInstances(caller, { agent: name, ...(status === undefined ? {} : { status }) }, page, registry),
    }),
    ...instanceOperations({
      async show(caller, id) {
        const found = await showInstance(caller, id, registry);
        const evidence = await readInstanceEvidence(reader, found.id);
        return evidence === undefined ? found : { ...found, evidence };
      },
      stop: async (caller, target, options) => stopInstance(caller, target, await stopping(caller), options),
    }),
    ...ownerOperations({
      list: (caller, page) => showOwners(caller, page, registry),
      async change(caller, target, options) {
        const owner = await changeOwner(caller, target, await changing(caller), options);
        await settleOrphans(revocation);
        return owner;
      },
    }),
    ...approvalOperations(parts, server),
    ...cordOperations(parts),
    ...tokenOperations({
      create: async (caller, input, options) => createToken(caller, input, await letting(caller), options),
      list: (caller, filter, page) => showTokens(caller, filter, page, tokens),
      show: (caller, id) => showToken(caller, id, tokens),
      revoke: async (caller, id, options) => revokeToken(caller, id, await withdrawing(caller), options),
      now: clock.now,
    }),
  ];
}

/** Certificates: the flows of `issuance/`, and stopping them. */
export function issuanceOperations(parts: ThreadParts): Operation[] {
  const { reader, clock, issuance, hierarchy, authority } = parts;
  const instances = createLookup(reader);
  const drift = driftHeld(parts);
  // The flows that issue hold the policy version themselves, since they may go on under another.
  const issuing = forCaller(issuance, parts, { policy: false });
  const stopping = forCaller(cordParts(parts), parts, { policy: false });
  return certificateOperations({
    async enrol({ token, ...request }) {
      const evidence = await attestJoinToken(parseJoinToken(token), { reader, clock, instances });
      return enrol({ kind: 'anonymous', id: 'anonymous' }, { ...request, evidence }, issuance);
    },
    issue: async (caller, request) => issueForInstance(caller, request, await issuing(caller)),
    async renew(caller, { runtime, tpm, ...request }) {
      const also = await requireNoDrift(caller, runtime, { reader, clock, ...drift });
      return renewCertificate(
        caller,
        { ...request, ...signedByModule(request.csr, tpm, parts), also },
        await issuing(caller),
      );
    },
    replace: async (caller, { tpm, ...request }) =>
      replaceCertificate(caller, { ...request, ...signedByModule(request.csr, tpm, parts) }, await issuing(caller)),
    revoke: async (caller, target, options) => revokeCertificate(caller, target, await stopping(caller), options),
    roots: () => rootsOf(authority.authorities()).map(({ certificate }) => certificate.raw),
    trustDomain: hierarchy.trustDomain,
    now: clock.now,
  });
}

/** Who was who, and when: the questions that `report/` answers. */
export function reportOperations(parts: ThreadParts): Operation[] {
  const { reader, certificates, policy, authority, hierarchy, clock } = parts;
  const report: ReportParts = {
    reader,
    certificates,
    authorize: policy.authorize,
    refresh: parts.issuance.refresh,
    chain: (issuer) => authority.chain(issuer),
    clock,
  };
  return certificateReportOperations({
    list: (caller, filter, page) => certificateList(caller, filter, page, report),
    at: (caller, filter, page) => certificatesAt(caller, filter, page, report),
    show: (caller, serial) => showCertificate(caller, serial, report),
    trace: (caller, subject, page) => trace(caller, subject, page, report),
    trustDomain: hierarchy.trustDomain,
    now: clock.now,
  });
}

/** What governs the installation: policy, profiles, authorities, and the trust documents. */
export function governanceOperations(parts: ThreadParts): Operation[] {
  const { reader, commit, clock, random, policy, keyring, hierarchy, authority } = parts;
  const { authorize } = policy;
  const profiles = { reader, authorize, commit, clock };
  const bundle = publishedBundle(parts);
  const checker = new PolicyChecker();
  const check = (text: string) => checker.check(text);
  const publishing = () => ({ reader, authorize, commit, clock, cedar: policy.cedar, check });
  return [
    ...trustOperations({
      trustDomain: hierarchy.trustDomain,
      authorities: () => authority.authorities(),
      bundle: async () => spiffeBundle(await bundle()),
    }),
    ...policyOperations({
      show: (caller) => showPolicy(caller, { reader, authorize }),
      async check(caller, text) {
        demand(authorize, { caller, action: 'policy.read', resource: INSTALLATION });
        return checker.check(text);
      },
      publish: async (caller, publication, options) =>
        publishPolicy(caller, publication, await forCaller(publishing(), parts, { policy: true })(caller), options),
    }),
    ...profileOperations({
      list: (caller) => showProfiles(caller, profiles),
      show: (caller, name) => showProfile(caller, name, profiles),
      publish: async (caller, profile, options) =>
        publishProfile(caller, profile, await forCaller(profiles, parts, { policy: true })(caller), options),
    }),
    ...authorityOperations({
      list: (caller) => showAuthorities(caller, profiles),
      show: (caller, id) => showAuthority(caller, id, profiles),
      async rotate(caller) {
        const acting = await forCaller(profiles, parts, { policy: true })(caller);
        return requestRotation(caller, acting, (id) =>
          rotateIssuing({
            ...acting,
            keyring,
            random,
            statusUrl: parts.statusUrl,
            caller: id,
            learned: issuingLearned,
          }),
        );
      },
    }),
  ];
}
