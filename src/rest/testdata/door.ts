import { hash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInstallation, type Installation, newKey, registered } from '../../../test/installation.ts';
import { attestEvidence, type EvidenceParts } from '../../attest/attest-evidence.ts';
import { parseSettings } from '../../attest/attestor/kinds.ts';
import { checkEvidence } from '../../attest/check-evidence.ts';
import { createChallenge } from '../../attest/create-challenge.ts';
import { createToken } from '../../attest/token/create.ts';
import { EntryCache } from '../../attest/entry/cache.ts';
import { addAttestor, removeAttestor, showAttestor, showAttestors } from '../../attest/attestor/manage.ts';
import { createEntry, removeEntry, showEntries, showEntry } from '../../attest/entry/manage.ts';
import { showOwnEntries } from '../../attest/entry/own.ts';
import { recordRefusedWorkloads, refusalLimit } from '../../attest/entry/refused-workloads.ts';
import { x509popVerifier } from '../../attest/verifier/x509pop.ts';
import { startOwned } from '../../issuance/owned.ts';
import { renewWorkload } from '../../issuance/renew-workload.ts';
import { enrolWorkload } from '../../issuance/workload.ts';
import type { AttestorSettings } from '../../wire/attestor.ts';
import { parseCsr } from '../../x509/csr.ts';
import { attestJoinToken } from '../../attest/token/join-token.ts';
import { revokeToken, showToken, showTokens } from '../../attest/token/manage.ts';
import type { Caller } from '../../base/access.ts';
import { demand } from '../../base/demand.ts';
import { WritError } from '../../base/error.ts';
import type { Log, LogFields } from '../../base/log.ts';
import { type Authority, rootsOf } from '../../ca/authority.ts';
import { readCertificate } from '../../ca/index/certificates.ts';
import { readAuthorities } from '../../ca/hierarchy.ts';
import { SVID_KEYS, tokenSigner } from '../../ca/jwt/key.ts';
import { requestRotation, showAuthorities, showAuthority } from '../../ca/authority/show.ts';
import { publishProfile, showProfile, showProfiles } from '../../ca/profile/publish.ts';
import { keepSvidKeys, rotateSvidKey } from '../../ca/bundle/svid-keys.ts';
import { readBundle, spiffeBundle } from '../../ca/bundle/bundle.ts';
import { EpochCache } from '../../db/epoch-cache.ts';
import { openSqlite } from '../../db/sqlite.ts';
import { encodePem } from '../../der/pem.ts';
import type { Limits } from '../../http/limits.ts';
import { DEFAULT_LIMITS } from '../../http/limits.ts';
import type { Route } from '../../http/route.ts';
import { HttpServer } from '../../http/server.ts';
import { type Answered, ask } from '../../http/testdata/ask.ts';
import { enrol } from '../../issuance/enrol.ts';
import { issueForInstance } from '../../issuance/issue-for-instance.ts';
import type { IssuedCertificate } from '../../issuance/issued.ts';
import { issueJwtSvid } from '../../issuance/jwt-svid.ts';
import { addOperatorWithCertificate } from '../../issuance/operator.ts';
import { renewCertificate } from '../../issuance/renew.ts';
import { replaceCertificate } from '../../issuance/replace.ts';
import { issueServerCertificate } from '../../issuance/server.ts';
import { ledgerResource } from '../../ledger/serve.ts';
import { eventsOf, readEvent } from '../../ledger/history.ts';
import { receipt } from '../../ledger/receipt.ts';
import { checkPolicy, publishPolicy, showPolicy } from '../../policy/publish.ts';
import { changeOwner, showOwners } from '../../registry/owners.ts';
import { registerAgent } from '../../registry/register.ts';
import { showAgent, showAgents, showInstance, showInstances, showOperators } from '../../registry/show.ts';
import { readStanding, standingFault } from '../../registry/standing.ts';
import { changeAgent } from '../../registry/update.ts';
import { certificateList, certificatesAt } from '../../report/certificates.ts';
import { showCertificate } from '../../report/show.ts';
import { trace } from '../../report/trace.ts';
import { pushMember } from '../../registry/group.ts';
import { actingFor } from '../../revocation/acting.ts';
import { removeOperator } from '../../revocation/remove-operator.ts';
import { revokeCertificate } from '../../revocation/revoke.ts';
import { stopAgent } from '../../revocation/stop-agent.ts';
import { stopInstance } from '../../revocation/stop-instance.ts';
import type { Name } from '../../spiffe-id/name.ts';
import { parseJoinToken } from '../../wire/join-token.ts';
import { problem } from '../../wire/problem.ts';
import { parse } from '../../wire/schema.ts';
import { agentOperations } from '../agents.ts';
import { attestorOperations } from '../attestors.ts';
import { authorityOperations } from '../authorities.ts';
import { certificateOperations } from '../certificates.ts';
import { certificateReportOperations } from '../certificate-reports.ts';
import { identifyClients } from '../identify.ts';
import { entryOperations } from '../entries.ts';
import { instanceOperations } from '../instances.ts';
import { jwtSvidOperations } from '../jwt-svids.ts';
import { ledgerDocumentOperations } from '../ledger-documents.ts';
import { ledgerEntryOperations } from '../ledger-entries.ts';
import type { Operation } from '../operation.ts';
import { operatorOperations } from '../operators.ts';
import { ownerOperations } from '../owners.ts';
import { policyOperations } from '../policy.ts';
import { problemReplies } from '../problems.ts';
import { profileOperations } from '../profiles.ts';
import { statusOperations } from '../status.ts';
import { routeTables, withDescription } from '../tables.ts';
import { svidOperations } from '../svid.ts';
import { tokenOperations } from '../tokens.ts';
import { trustOperations } from '../trust.ts';
import { workloadOperations } from '../workloads.ts';

export interface Door {
  readonly installation: Installation;
  readonly operations: readonly Operation[];
  readonly port: number;
  readonly openPort: number;
  readonly ca: string;
  readonly operator: Client;
  /** Everything that was logged, as one text. */
  logged(): string;
  /** Lets an instance of an agent in, over HTTP. */
  letIn(agent: string): Promise<Client & { readonly instance: string; readonly serial: string }>;
  ask(path: string, options?: AskOptions): Promise<Answered>;
  json(path: string, options?: AskOptions): Promise<Answer>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface Client {
  readonly keyPem: string;
  readonly pem: string;
}

export interface AskOptions {
  readonly method?: string;
  readonly body?: unknown;
  readonly client?: Client;
  readonly key?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly open?: boolean;
}

interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: tests read whatever the route answers
  readonly body: any;
  readonly headers: Answered['headers'];
}

export const JWT_ISSUER = 'https://id.agents.example.com';

const SYSTEM: Caller = { kind: 'system', id: 'system:test' };
const ANONYMOUS: Caller = { kind: 'anonymous', id: 'anonymous' };

/** A whole installation behind real TLS listeners, with an operator who has a certificate. */
export async function openDoor(options: { readonly limits?: Partial<Limits>; readonly more?: readonly Route[]; readonly moreRoots?: readonly Uint8Array[] } = {}): Promise<Door> {
  const folder = mkdtempSync(join(tmpdir(), 'writ-rest-'));
  const database = openSqlite({ path: join(folder, 'writ.db') });
  const installation = await createInstallation(database, { start: Date.now() - 1000 });
  const { clock, issuance, registry, policy, commit, random } = installation;
  const { authorize } = policy;
  clock.set(Date.now());
  const svidKeys = { reader: database, commit, clock, random, keyring: installation.keyring, authorize };
  await keepSvidKeys(svidKeys);
  const tokenKey = tokenSigner(database, installation.keyring, clock.now, SVID_KEYS);
  const goodSerials = new EpochCache<Uint8Array>(installation.epoch, 10);
  const tokenIssuing = { ...issuance, issuer: () => JWT_ISSUER, tokenKey, goodSerials };
  const authorities: readonly Authority[] = await readAuthorities(database);
  const root = rootsOf(authorities)[0]!.certificate.raw;
  const ca = encodePem('CERTIFICATE', root);
  const INSTALLATION = { type: 'Installation', id: 'writ' } as const;

  const tokenParts = {
    reader: database,
    authorize,
    commit,
    clock,
    random,
    registered: registered(installation),
    server: { address: 'localhost:8443', rootFingerprint: hash('sha256', root, 'buffer') },
  };
  const entryParts = { ...tokenParts, lifetimeFits: async () => true };
  const attestorParts = {
    ...{ reader: database, authorize, commit, clock },
    checkSettings: (settings: AttestorSettings) => void parseSettings(settings, evidenceParts.verifiers),
  };
  const evidenceParts: EvidenceParts = {
    ...{ reader: database, clock, random, entries: new EntryCache(database) },
    secret: new Uint8Array(32).fill(1),
    fetch: async () => ({ reached: false }),
    verifiers: { x509pop: x509popVerifier },
  };
  const policyParts = { reader: database, authorize, commit, clock, cedar: policy.cedar };
  const reports = { ...issuance, chain: (issuer: string) => issuance.authority.chain(issuer) };
  const notYet = async (): Promise<never> => {
    throw new WritError('unavailable', 'This flow is not wired in tests of the door.');
  };
  const lines: string[] = [];
  const operations: Operation[] = [
    ...agentOperations({
      register: (caller, input, how) => registerAgent(caller, input, registry, how),
      change: (caller, target, how) => changeAgent(caller, target, registry, how),
      retire: (caller, target, how) => stopAgent(caller, target, issuance, how),
      show: (caller, { name, kind }) => showAgent(caller, name, registry, kind),
      list: (caller, filter, page) => showAgents(caller, filter, page, registry),
      instances: (caller, { name, status }, page) =>
        showInstances(caller, { agent: name, ...(status === undefined ? {} : { status }) }, page, registry),
    }),
    ...instanceOperations({ 
      show: (caller, id) => showInstance(caller, id, registry),
      stop: (caller, target, how) => stopInstance(caller, target, issuance, how),
    }),
    ...ownerOperations({
      list: (caller, page) => showOwners(caller, page, registry),
      change: (caller, target, how) => changeOwner(caller, target, registry, how),
    }),
    ...operatorOperations({
      list: (caller) => showOperators(caller, registry),
      // With an approval: `test/journeys/approvals.test.ts`.
      async add(caller, { name }) {
        demand(issuance.authorize, { caller, action: 'operator.add', resource: { type: 'Operator', id: name } });
        throw new WritError('unavailable', 'Not wired here.');
      },
      remove: (caller, target, how) => removeOperator(caller, target, issuance, how),
    }),
    ...tokenOperations({
      create: (caller, input, how) => createToken(caller, input, tokenParts, how),
      list: (caller, filter, page) => showTokens(caller, filter, page, tokenParts),
      show: (caller, id) => showToken(caller, id, tokenParts),
      revoke: (caller, id, how) => revokeToken(caller, id, tokenParts, how),
      now: () => clock.now(),
    }),
    ...attestorOperations({
      add: (caller, input, how) => addAttestor(caller, input, attestorParts, how),
      list: (caller, page) => showAttestors(caller, page, attestorParts),
      show: (caller, name) => showAttestor(caller, name, attestorParts),
      remove: (caller, name, how) => removeAttestor(caller, name, attestorParts, how),
      check: (caller, given) => checkEvidence(caller, given, { ...evidenceParts, authorize }),
    }),
    ...entryOperations({
      create: (caller, input, how) => createEntry(caller, input, entryParts, how),
      list: (caller, filter, page) => showEntries(caller, filter, page, entryParts),
      show: (caller, id) => showEntry(caller, id, entryParts),
      remove: (caller, id, how) => removeEntry(caller, id, entryParts, how),
      own: (caller, query) => showOwnEntries(caller, query, { ...tokenParts, entries: evidenceParts.entries }),
    }),
    ...workloadOperations({
      enrol: (caller, request) => enrolWorkload(caller, request, issuance),
      start: (caller, request) =>
        startOwned(caller, request, { ...issuance, drifted: notYet, entries: evidenceParts.entries }),
      renew: (caller, request) => renewWorkload(caller, request, { ...issuance, drifted: notYet }),
      refused: (caller, refusals, how) =>
        recordRefusedWorkloads(caller, refusals, { ...tokenParts, limit: refusalLimit() }, how),
      roots: () => [root],
    }),
    ...svidOperations({
      async request({ evidence: given, csr, ...more }) {
        if (given.kind === 'join-token') throw new WritError('unavailable', 'Not wired here.');
        const presented = { spki: parseCsr(csr).publicKey.spki, agent: more.agent, runtime: more.runtime };
        const evidence = await attestEvidence(given, presented, evidenceParts);
        return enrol(ANONYMOUS, { ...more, csr, evidence }, issuance);
      },
      challenge: (request) => createChallenge(request, evidenceParts),
      roots: () => [root],
    }),
    ...certificateOperations({
      async enrol({ token, ...request }) {
        const parts = { reader: database, clock, instances: tokenParts.registered };
        const evidence = await attestJoinToken(parseJoinToken(token), parts);
        return enrol(ANONYMOUS, { ...request, evidence }, issuance);
      },
      issue: (caller, request) => issueForInstance(caller, request, issuance),
      renew: (caller, request) => renewCertificate(caller, request, issuance),
      replace: (caller, request) => replaceCertificate(caller, request, issuance),
      revoke: (caller, target, how) => revokeCertificate(caller, target, issuance, how),
      roots: () => [root, ...(options.moreRoots ?? [])],
      trustDomain: issuance.trustDomain,
      now: () => clock.now(),
    }),
    ...certificateReportOperations({
      list: (caller, filter, page) => certificateList(caller, filter, page, reports),
      at: (caller, query, page) => certificatesAt(caller, query, page, reports),
      show: (caller, serial) => showCertificate(caller, serial, reports),
      trace: (caller, query, page) => trace(caller, query, page, reports),
      trustDomain: issuance.trustDomain,
      now: () => clock.now(),
    }),
    ...authorityOperations({
      list: (caller) => showAuthorities(caller, policyParts),
      show: (caller, id) => showAuthority(caller, id, policyParts),
      rotate: (caller) => requestRotation(caller, policyParts, notYet),
    }),
    ...profileOperations({
      list: (caller) => showProfiles(caller, policyParts),
      show: (caller, name) => showProfile(caller, name, policyParts),
      publish: (caller, profile, how) => publishProfile(caller, profile, policyParts, how),
    }),
    ...policyOperations({
      show: (caller) => showPolicy(caller, policyParts),
      async check(caller, text) {
        demand(authorize, { caller, action: 'policy.read', resource: INSTALLATION });
        return checkPolicy(policy.cedar, text);
      },
      publish: (caller, publication, how) => publishPolicy(caller, publication, policyParts, how),
    }),
    ...ledgerEntryOperations({
      demandRead: (caller) => void demand(authorize, { caller, action: 'ledger.read', resource: INSTALLATION }),
      eventsOf: (query) => eventsOf(database, query),
      eventsFrom: async (index, limit) => (await installation.events()).slice(index, index + limit),
      event: (index) => readEvent(database, index),
      receipt: (index) => receipt(database, index),
    }),
    ...ledgerDocumentOperations({
      resource: (path) => ledgerResource(database, path),
      keys: async () => 'writ.example+00000000+AQ==\n',
      demandEntries: (caller) => void demand(authorize, { caller, action: 'ledger.read', resource: INSTALLATION }),
    }),
    ...trustOperations({
      trustDomain: issuance.trustDomain,
      authorities: () => authorities,
      bundle: async () => spiffeBundle((await readBundle(database))!),
    }),
    ...jwtSvidOperations({
      issuer: () => JWT_ISSUER,
      issue: async (caller, request) =>
        issueJwtSvid(caller, request, { ...tokenIssuing, ...(await actingFor(caller, issuance, { policy: false })) }),
      rotateKey: (caller, wanted, how) => rotateSvidKey(caller, wanted, svidKeys, how),
      keys: async () => (await readBundle(database))!.keys.filter(({ use }) => use === 'jwt-svid'),
    }),
    ...statusOperations({
      version: '0.0.0',
      trustDomain: issuance.trustDomain,
      parts: () => [{ name: 'ledger', ready: true }],
      metrics: () => '# EOF\n',
    }),
  ];

  const write =
    (level: string) =>
    (event: string, fields: LogFields = {}): void =>
      void lines.push(JSON.stringify({ level, event, ...fields }));
  const log: Log = { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
  const tables = routeTables(operations, '0.0.0', { answers: database, clock, refresh: () => issuance.refresh() });

  const serverKey = newKey();
  const names = { dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'] };
  const server = await issueServerCertificate(SYSTEM, { csr: await serverKey.csr(), wish: names }, issuance);
  const identity = {
    key: pemOf(serverKey),
    chain: chainOf(server),
    trusted: authorities.map((one) => encodePem('CERTIFICATE', one.certificate.raw)),
  };
  const common = { clock, limits: { ...DEFAULT_LIMITS, ...options.limits }, problem: problemReplies(log), tls: identity };
  const identify = identifyClients({
    trustDomain: issuance.trustDomain,
    authorities: () => authorities,
    now: () => clock.now(),
  });
  const standing = async (caller: Caller): Promise<WritError | undefined> => {
    const row = await readCertificate(issuance.certificates, caller.serial!);
    if (row === undefined || row.revoked !== undefined) return new WritError('revoked', 'The certificate was revoked.');
    const found = caller.instance === undefined ? undefined : await readStanding(database, caller.instance);
    const fault = found === undefined ? undefined : standingFault(found);
    return fault === undefined ? undefined : new WritError(fault.code, fault.message);
  };
  const api = new HttpServer({ ...common, routes: [...tables.api, ...(options.more ?? [])], clients: { identify, standing } });
  const open = new HttpServer({ ...common, routes: tables.open });
  const { port } = await api.listen({ host: '127.0.0.1', port: 0 });
  const { port: openPort } = await open.listen({ host: '127.0.0.1', port: 0 });

  const operatorKey = newKey();
  const ada = await addOperatorWithCertificate(
    SYSTEM,
    {
      csr: await operatorKey.csr(),
      operator: 'ada' as Name,
      // As of a first operator.
      also(batch, now) {
        for (const group of ['ca-officers', 'security']) pushMember(batch, group, 'ada', now);
      },
    },
    issuance,
  );
  const operator = { keyPem: pemOf(operatorKey), pem: chainOf(ada) };

  const door: Door = {
    installation,
    operations: withDescription(operations, '0.0.0'),
    port,
    openPort,
    ca,
    operator,
    logged: () => lines.join('\n'),
    async letIn(agent) {
      const token = await door.json('/v1/tokens', { method: 'POST', body: { agent }, client: operator });
      const key = newKey();
      const csr = Buffer.from(await key.csr()).toString('base64');
      const { status, body } = await door.json('/v1/enrol', { method: 'POST', body: { token: token.body.token, csr } });
      if (status !== 201) throw new Error(`enrolment failed: ${JSON.stringify(body)}`);
      return { keyPem: pemOf(key), pem: body.certificate + body.chain.join(''), instance: body.instance, serial: body.serial };
    },
    ask: (path, { method, body, client, key, headers, open: useOpen } = {}) =>
      ask({
        port: useOpen === true ? openPort : port,
        ca,
        path,
        method: method ?? 'GET',
        headers: {
          ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
          ...(key === undefined ? {} : { 'Idempotency-Key': key }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
        ...(client === undefined ? {} : { client }),
      }),
    async json(path, how = {}) {
      const { status, text, headers } = await door.ask(path, how);
      const body = text === '' ? undefined : JSON.parse(text);
      if (status >= 400 && status !== 503) parse(problem, body, 'body');
      if (status < 300) checkAnswer(door.operations, `${how.method ?? 'GET'} ${path}`, body);
      return { status, headers, body };
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([api.close(100), open.close(100)]);
      await installation.close();
      await database.close();
      rmSync(folder, { recursive: true });
    },
  };
  return door;
}

function pemOf({ key }: ReturnType<typeof newKey>): string {
  return key.export({ type: 'pkcs8', format: 'pem' }) as string;
}

function chainOf({ der, chain }: IssuedCertificate): string {
  return [der, ...chain].map((one) => encodePem('CERTIFICATE', one)).join('');
}

/** Every answer that a test reads is held against its schema. */
function checkAnswer(operations: readonly Operation[], asked: string, body: unknown): void {
  const found = operations.find(({ method, path }) =>
    new RegExp(`^${method} ${path.replace(/\{\w+\.\.\.\}/, '.+').replace(/\{\w+\}/g, '[^/?]+')}(\\?.*)?$`).test(asked),
  );
  if (found?.answer !== undefined) parse(found.answer, body, 'body');
}
