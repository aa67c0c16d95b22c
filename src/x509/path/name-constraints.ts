import { WritError } from '../../base/error.ts';
import type { NameConstraints } from '../extensions/name-constraints.ts';
import type { GeneralName } from '../general-name.ts';
import { matchingRdns, type Name } from '../name.ts';
import { isPresentedName } from './host-name.ts';
import type { Budget } from './limits.ts';
import { splitMailbox } from './mailbox.ts';
import {
  type ConstrainedName,
  dnsSubtree,
  emailSubtree,
  ipSubtree,
  isWithin,
  type Subtree,
  touches,
  uriSubtree,
} from './subtree.ts';
import { uriHost } from './uri-host.ts';

/** The name constraints of one authority, by form of name. */
export interface Constraints {
  readonly permitted: ReadonlyMap<string, readonly Subtree[]>;
  readonly excluded: ReadonlyMap<string, readonly Subtree[]>;
}

const EMAIL_ADDRESS = '1.2.840.113549.1.9.1';

/** Makes an extension ready for comparing. Throws `bad_certificate` for a base that its form does not allow. */
export function readConstraints(extension: NameConstraints): Constraints {
  const group = (bases: readonly GeneralName[]) => Map.groupBy(bases.map(subtreeOf), ({ form }) => form);
  return { permitted: group(extension.permitted), excluded: group(extension.excluded) };
}

/**
 * All names of a certificate that constraints apply to: the subject when it is not empty, the mail addresses in it
 * and the alternative names. Throws `bad_certificate` for a name that breaks the syntax of its form
 * (RFC 5280 §4.2.1.6): what cannot be read cannot be confined.
 */
export function constrainedNames(subject: Name, alternatives: readonly GeneralName[]): ConstrainedName[] {
  const names = alternatives.map(constrainedName);
  if (subject.rdns.length > 0) names.push({ form: 'directory', rdns: matchingRdns(subject) });
  for (const { type, text } of subject.rdns.flat()) {
    if (type === EMAIL_ADDRESS) names.push(constrainedName({ kind: 'email', value: text ?? '' }));
  }
  return names;
}

/**
 * Do an authority's constraints let a certificate below it carry these names (RFC 5280 §6.1.3 (b) and (c))? Each name
 * must lie in a permitted subtree of its form where there are any, and must touch no excluded one.
 */
export function permits(constraints: Constraints, names: readonly ConstrainedName[], budget: Budget): boolean {
  return names.every((name) => {
    const excluded = constraints.excluded.get(name.form) ?? [];
    const permitted = constraints.permitted.get(name.form) ?? [];
    budget.spend('comparisons', excluded.length + permitted.length);
    if (excluded.some((subtree) => touches(name, subtree))) return false;
    return permitted.length === 0 || permitted.some((subtree) => isWithin(name, subtree));
  });
}

function subtreeOf(base: GeneralName): Subtree {
  const subtree = readBase(base);
  if (subtree === undefined) throw malformed('nameConstraints', `a base of form ${base.kind} that is not one`);
  return subtree;
}

function readBase(base: GeneralName): Subtree | undefined {
  switch (base.kind) {
    case 'dns':
      return dnsSubtree(base.value);
    case 'uri':
      return uriSubtree(base.value);
    case 'email':
      return emailSubtree(base.value);
    case 'ip':
      return ipSubtree(base.value);
    case 'directory':
      return { form: 'directory', rdns: matchingRdns(base.value) };
    case 'other':
      return { form: `tag ${base.tag}` };
  }
}

function constrainedName(name: GeneralName): ConstrainedName {
  switch (name.kind) {
    case 'dns':
      if (!isPresentedName(name.value)) throw malformed('subjectAltName', 'a dNSName that is no host name');
      return { form: 'dns', name: name.value.toLowerCase() };
    case 'uri':
      if (!/^[a-z][a-z0-9+.-]*:[!-~]+$/i.test(name.value)) throw malformed('subjectAltName', 'a URI without a scheme');
      return { form: 'uri', host: uriHost(name.value) };
    case 'email': {
      const mailbox = splitMailbox(name.value);
      if (mailbox === undefined) throw malformed('subjectAltName', 'a mail address that is no mailbox');
      return { form: 'email', ...mailbox };
    }
    case 'ip':
      return { form: 'ip', octets: name.value };
    case 'directory':
      return { form: 'directory', rdns: matchingRdns(name.value) };
    case 'other':
      return { form: `tag ${name.tag}` };
  }
}

function malformed(field: string, what: string): WritError {
  return new WritError('bad_certificate', `${field}: ${what}`, { field });
}
