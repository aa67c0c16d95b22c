import type { AccessRequest, Facts } from '../base/access.ts';
import type { CedarCall } from './cedar.ts';
import { SHAPES } from './facts.ts';
import type { Part, PrincipalType, Reads } from './reads.ts';

type Uid = { readonly type: string; readonly id: string };

/**
 * Who asks, as the schema has it; for an instance what it is a copy of, for an operator their groups. Not for `system`,
 * which rules never see.
 */
export function principalOf({ caller }: AccessRequest): {
  readonly uid: Uid & { readonly type: PrincipalType };
  readonly parent?: Uid;
  readonly groups?: readonly string[];
} {
  switch (caller.kind) {
    case 'operator':
      return { uid: { type: 'Operator', id: caller.operator ?? '' }, groups: caller.groups ?? [] };
    case 'agent':
    case 'service': {
      const parent = { type: caller.kind === 'agent' ? 'Agent' : 'Service', id: caller.agent ?? '' };
      return { uid: { type: 'Instance', id: caller.instance ?? '' }, parent };
    }
    default:
      return { uid: { type: 'Anonymous', id: 'anonymous' } };
  }
}

/** The request for Cedar, with the few entities that it is about. `now` is in milliseconds. */
export function cedarCall(request: AccessRequest, now: number): CedarCall {
  const principal = principalOf(request);
  const { type, id, facts } = request.resource;
  const attrs = principal.groups === undefined ? {} : { groups: [...principal.groups] };
  const entities: CedarCall['entities'] = [{ uid: principal.uid, attrs, parents: parentsOf(principal) }];
  // Of the other types there is nothing to say, and a resource can be the principal itself.
  if (type === 'Agent' || type === 'Service' || type === 'Owner')
    entities.push({ uid: { type, id }, attrs: { ...plain(facts) }, parents: [] });
  const context: CedarCall['context'] = { now: { __extn: { fn: 'datetime', arg: new Date(now).toISOString() } } };
  for (const name of Object.keys(SHAPES[request.action].context)) {
    const value = request.context?.[name];
    if (value !== undefined) context[name] = typeof value === 'object' ? [...value] : value;
  }
  return {
    principal: principal.uid,
    action: { type: 'Action', id: request.action },
    resource: { type, id },
    context,
    entities,
  };
}

function parentsOf({ parent, groups = [] }: ReturnType<typeof principalOf>): Uid[] {
  return [...(parent === undefined ? [] : [parent]), ...groups.map((id) => ({ type: 'Group', id }))];
}

function plain(facts: Facts = {}): Record<string, string | number | boolean | string[]> {
  return Object.fromEntries(
    Object.entries(facts).map(([name, value]) => [name, typeof value === 'object' ? [...value] : value]),
  );
}

/**
 * What the rules can tell this request by, as text: two requests of one key get one answer. It has every part that
 * `reads` names, by value, and nothing else. Relies on `guard.complete`: parts that are not read are there all the same,
 * and of their type.
 */
export function requestKey(request: AccessRequest, reads: Reads): string {
  const principal = principalOf(request);
  const { type, id, facts = {} } = request.resource;
  return JSON.stringify([
    request.action,
    principal.uid.type,
    principal.parent === undefined || reads.principal.id ? principal.uid.id : 0,
    principal.parent?.type ?? 0,
    principal.parent?.id ?? 0,
    ...(principal.groups ?? []),
    0,
    type,
    reads.resource.id ? id : 0,
    ...partKey(facts, reads.resource),
    0,
    ...partKey(request.context ?? {}, reads.context),
  ]);
}

function partKey(facts: Facts, { attributes }: Part): unknown[] {
  const key: unknown[] = [];
  for (const name of attributes === 'all' ? Object.keys(facts).sort() : attributes) {
    const value = facts[name];
    if (value !== undefined) key.push(name, value);
  }
  return key;
}
