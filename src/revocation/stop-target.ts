import type { Caller } from '../base/access.ts';
import { WritError } from '../base/error.ts';
import { isId } from '../base/id.ts';
import { formatSerial } from '../ca/certificate/serial.ts';
import { readHierarchy } from '../ca/hierarchy.ts';
import { type CertificateRow, readCertificate } from '../ca/index/certificates.ts';
import { type Cause, parseCause } from '../ca/revocation-cause.ts';
import { agentResource } from '../registry/agent.ts';
import { readAgent } from '../registry/agent-store.ts';
import { coveredInstances } from '../registry/covered.ts';
import { type Hold, holdOn } from '../registry/hold.ts';
import { readOwner } from '../registry/owner.ts';
import { sponsorFacts } from '../registry/sponsor.ts';
import { readStanding } from '../registry/standing.ts';
import { isName } from '../spiffe-id/name.ts';
import { type Asked, absent, askedOfCertificate, askedOfInstance } from './asked.ts';
import { parseEvidence } from './evidence.ts';
import type { CordParts, RevocationParts, Why } from './parts.ts';

/**
 * What the cord stops, with the name that belongs to it: a serial number in hex, an instance id (`parent` is another word
 * for `instance`), an agent's or service's name, a team, `key=value`, the id of an issuing authority.
 */
export interface StopTarget {
  readonly kind: 'certificate' | 'instance' | 'parent' | 'agent' | 'owner' | 'label' | 'authority';
  readonly name: string;
}

/** A target that was found. */
export interface FoundTarget extends Asked {
  readonly hold: Omit<Hold, 'stop'>;
  /** For the ledger. */
  readonly subjects: readonly string[];
  /** It is stopped for ever already; what it let in may go on: see `isOver`. */
  readonly ended: boolean;
  readonly certificate?: CertificateRow;
}

const INSTALLATION = { type: 'Installation', id: 'writ' } as const;

/** What somebody wants held or stopped. */
export interface StopRequest extends Why {
  readonly target: StopTarget;
}

/** The same as it was understood, and what it is about as of now. */
interface UnderstoodStop {
  readonly cause: Cause;
  readonly evidence: string | undefined;
  readonly found: FoundTarget;
}

/** Throws `bad_request` for a request that is none, and `not_found` for what is not there. Asks nobody for permission. */
export async function understandStop(caller: Caller, request: StopRequest, parts: CordParts): Promise<UnderstoodStop> {
  const cause = parseCause(request);
  const evidence = parseEvidence(request.evidence);
  await parts.refresh();
  return { cause, evidence, found: await findTarget(caller, request.target, parts) };
}

/**
 * Finds what is to be stopped. Throws `bad_request` for a name that cannot be one, and `not_found` or `denied` where there
 * is none.
 */
async function findTarget(caller: Caller, { kind, name }: StopTarget, parts: RevocationParts): Promise<FoundTarget> {
  const { reader } = parts;
  switch (kind) {
    case 'certificate': {
      if (!/^[0-9a-f]{40}$/.test(name)) throw malformed('the serial number as 40 lower-case hex digits');
      const row = await readCertificate(parts.certificates, new Uint8Array(Buffer.from(name, 'hex')));
      if (row === undefined) throw absent(caller, 'certificate', '/name', parts);
      const of =
        row.instance === undefined ? [`${row.kind}:${row.name}`] : [`agent:${row.name}`, `instance:${row.instance}`];
      return {
        hold: holdOn(kind, formatSerial(row.serial)),
        ...(await askedOfCertificate(caller, row, parts)),
        subjects: [...of, `serial:${name}`],
        ended: row.revoked !== undefined,
        certificate: row,
      };
    }
    case 'instance':
    case 'parent': {
      if (!isId(name)) throw malformed('the id of an instance');
      const standing = await readStanding(reader, name);
      if (standing === undefined) throw absent(caller, 'instance', '/name', parts);
      const { agent, instance } = standing;
      return {
        hold: holdOn('instance', instance.id),
        ...(await askedOfInstance(caller, agent, instance.id, parts)),
        subjects: [`agent:${agent.name}`, `instance:${instance.id}`],
        ended: instance.status === 'stopped',
      };
    }
    case 'agent': {
      const agent = isName(name) ? await readAgent(reader, name) : undefined;
      if (agent === undefined) throw absent(caller, 'agent or service', '/name', parts);
      return {
        hold: holdOn(kind, agent.name),
        resource: agentResource(agent),
        facts: await sponsorFacts(caller, agent, reader),
        subjects: [`agent:${agent.name}`, `registration:${agent.name}`, `owner:${agent.team}`],
        ended: agent.status === 'retired',
      };
    }
    case 'owner': {
      const owner = isName(name) ? await readOwner(reader, name) : undefined;
      if (owner === undefined) throw absent(caller, 'team', '/name', parts);
      return {
        hold: holdOn(kind, owner.team),
        resource: { type: 'Owner', id: owner.team, facts: { team: owner.team } },
        facts: {},
        subjects: [`owner:${owner.team}`],
        ended: false,
      };
    }
    case 'label': {
      if (!/^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}=./.test(name) || name.length > 320)
        throw malformed('a label as key=value');
      return {
        hold: holdOn(kind, name),
        resource: INSTALLATION,
        facts: {},
        subjects: [`label:${name}`],
        ended: false,
      };
    }
    case 'authority': {
      const authorities = (await readHierarchy(reader))?.authorities ?? [];
      const found = authorities.find(({ id, kind: level }) => id === name && level === 'issuing');
      if (found === undefined) throw absent(caller, 'issuing authority', '/name', parts);
      return {
        hold: holdOn(kind, found.id),
        resource: INSTALLATION,
        facts: {},
        subjects: [`authority:${found.id}`],
        ended: false,
      };
    }
  }
}

/** Whether there is nothing left to stop: what was found is stopped for ever, and so is all that it let in. */
export async function isOver(
  { ended, hold }: FoundTarget,
  { reader }: Pick<RevocationParts, 'reader'>,
): Promise<boolean> {
  if (!ended) return false;
  for await (const page of coveredInstances(reader, hold)) if (page.some(({ stopped }) => !stopped)) return false;
  return true;
}

function malformed(what: string): WritError {
  return new WritError('bad_request', 'The name cannot be one of its kind.', {
    field: '/name',
    remedy: `Give ${what}, as the listings show it.`,
  });
}
