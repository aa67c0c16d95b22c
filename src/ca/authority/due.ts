import { type Authority, activeOf } from '../authority.ts';
import type { Hierarchy } from '../hierarchy.ts';
import { LIFETIMES } from '../lifetime.ts';
import { intermediateDueAt } from './rotation.ts';

/** Something that a person has to do, because it needs a key that is not on this machine. */
export interface Due {
  readonly what: 'import' | 'root-crl' | 'intermediate' | 'root';
  /** Milliseconds: what goes wrong begins then. */
  readonly dueAt: number;
  readonly overdue: boolean;
  /** One sentence: what is needed and what happens without it. */
  readonly message: string;
  /** The command to run, with a placeholder in capitals where a path goes. */
  readonly command: string;
}

export interface DueOptions {
  /** Milliseconds. */
  readonly now: number;
  /** Seconds: life of a new issuing authority, `issuingLifetime`. */
  readonly issuingLifetime: number;
}

/** What is announced at this time, the most urgent first. Announcements begin 60 days ahead. */
export function dueItems(hierarchy: Hierarchy, options: DueOptions): Due[] {
  const items = [
    importDue(hierarchy),
    crlDue(hierarchy, options),
    intermediateDue(hierarchy, options),
    rootDue(hierarchy, options.now),
  ];
  return items
    .filter((item) => item !== undefined)
    .filter(
      ({ dueAt, what }) =>
        options.now >= dueAt - (what === 'root' ? LIFETIMES.intermediate : LIFETIMES.announce) * 1000,
    )
    .map((item) => ({ ...item, overdue: options.now >= item.dueAt }))
    .sort((a, b) => a.dueAt - b.dueAt);
}

type Item = Omit<Due, 'overdue'>;

function importDue({ request }: Hierarchy): Item | undefined {
  if (request === undefined) return undefined;
  return {
    what: 'import',
    dueAt: request.createdAt,
    message: 'An intermediate waits to be signed by the owner of your root; until then nothing is issued under it.',
    command: 'writ ca import CHAIN.pem',
  };
}

function crlDue({ root, authorities, crls }: Hierarchy, { now }: DueOptions): Item | undefined {
  const authority = activeOf(authorities, 'root');
  if (root !== 'offline' || authority === undefined || now > authority.certificate.notAfter) return undefined;
  const crl = crls.find((crl) => crl.authority === authority.id);
  if (crl !== undefined && crl.nextUpdate >= authority.certificate.notAfter) return undefined;
  const end = crl?.nextUpdate ?? authority.createdAt;
  return {
    what: 'root-crl',
    dueAt: end,
    message:
      now > end
        ? `The root's revocation list ended on ${day(end)}: validators that demand one refuse everything.`
        : `The root's revocation list ends on ${day(end)}; validators that demand one refuse everything after that.`,
    command: 'writ ca sign-crl --root-key FILE',
  };
}

function intermediateDue(hierarchy: Hierarchy, { now, issuingLifetime }: DueOptions): Item | undefined {
  const { root, authorities, request } = hierarchy;
  const active = activeOf(authorities, 'intermediate');
  if (root === 'online' || active === undefined || request !== undefined) return undefined;
  const top = activeOf(authorities, 'root');
  if (root === 'offline' && top !== undefined && endsWith(active, top, now)) return undefined;
  const dueAt = intermediateDueAt(active, issuingLifetime);
  const end = active.certificate.notAfter;
  return {
    what: 'intermediate',
    dueAt,
    message:
      now > end
        ? `The intermediate ended on ${day(end)}: nothing is issued until there is another.`
        : `The intermediate ends on ${day(end)}: nothing is issued after that, and from ${day(dueAt)} on issuing authorities have shorter lives.`,
    command: root === 'offline' ? 'writ ca sign-intermediate --root-key FILE' : 'writ ca request FILE.csr',
  };
}

/** An end of somebody else's root is for its owner to announce; ours is announced as long ahead as it concerns intermediates. */
function rootDue(hierarchy: Hierarchy, now: number): Item | undefined {
  const root = activeOf(hierarchy.authorities, 'root');
  if (root === undefined || hierarchy.root === 'external') return undefined;
  const end = root.certificate.notAfter;
  return {
    what: 'root',
    dueAt: end,
    message:
      now > end
        ? `The root ended on ${day(end)}: nothing below it is valid, and every relying party must learn a new one.`
        : `The root ends on ${day(end)}; every relying party must learn a new one before.`,
    command: 'writ init --data NEW-DIRECTORY',
  };
}

/** True when another intermediate would end with the root as this one does, so that there is no use in making it. */
function endsWith(intermediate: Authority, root: Authority, now: number): boolean {
  const next = Math.min(now + LIFETIMES.intermediate * 1000, root.certificate.notAfter);
  return next <= intermediate.certificate.notAfter;
}

function day(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}
