import type { Expression, PolicyJson } from './cedar.ts';
import type { Rule } from './rules.ts';

/** Which parts of a request rules can tell apart; all others cannot change their answer. */
export interface Reads {
  readonly principal: Part;
  readonly resource: Part;
  readonly context: Part;
}

export interface Part {
  /**
   * Which one it is matters, beyond its type. For principals this speaks of instances alone, beyond what they are a copy
   * of; which operator asks always counts.
   */
  readonly id: boolean;
  /** Names of attributes. */
  readonly attributes: 'all' | ReadonlySet<string>;
}

/** Who can ask: the principal types of the schema. */
export type PrincipalType = 'Operator' | 'Instance' | 'Anonymous';

/** Rules that may speak about an action of such a caller, as far as their scope says so plainly; others may always. */
export function rulesFor(rules: Iterable<Rule>, action: string, principal: PrincipalType): Rule[] {
  return [...rules].filter(({ json }) => mayApply(json, action) && mayAsk(json, principal));
}

function mayAsk({ principal }: PolicyJson, type: PrincipalType): boolean {
  if (principal.op === 'is') return principal.entity_type === type;
  if (principal.op === '==' && 'entity' in principal) return typeOf(principal.entity) === type;
  return true;
}

function mayApply({ action }: PolicyJson, name: string): boolean {
  if (action.op === 'All') return true;
  const named = 'entities' in action ? action.entities : 'entity' in action ? [action.entity] : undefined;
  if (named === undefined) return true;
  // An action with a dot is no group; a name without one is a group, which may have any action in it.
  return named.some((uid) => {
    const { id } = '__entity' in uid ? uid.__entity : uid;
    return id === name || !id.includes('.');
  });
}

/**
 * Finds what rules read. It judges widely: whatever it does not know for harmless counts as reading everything. So a
 * part that it leaves out is one that no rule looks at, whichever way its evaluation goes.
 */
export function readsOf(rules: readonly Rule[]): Reads {
  const found: Found = { principal: newPart(), resource: newPart(), context: newPart() };
  for (const { json } of rules) {
    scope(found, 'principal', json.principal);
    scope(found, 'resource', json.resource);
    for (const { body } of json.conditions) walk(found, body);
  }
  return found;
}

interface FoundPart extends Part {
  id: boolean;
  attributes: 'all' | Set<string>;
}

type Variable = 'principal' | 'resource' | 'context';
type Found = Record<Variable, FoundPart>;

const newPart = (): FoundPart => ({ id: false, attributes: new Set() });

function readWhole(part: FoundPart): void {
  part.id = true;
  part.attributes = 'all';
}

function readEverything(found: Found): void {
  for (const part of Object.values(found)) readWhole(part);
}

/** `is` looks at the type alone, which always counts; `==` and `in` look at which one it is. */
function scope(found: Found, variable: Variable, constraint: PolicyJson['principal'] | PolicyJson['resource']): void {
  if (constraint.op === 'All') return;
  const ancestor = constraint.op === 'is' ? constraint.in : constraint;
  if (ancestor === undefined) return;
  const ofGroup =
    variable === 'principal' && constraint.op !== '==' && 'entity' in ancestor && isGroupId(ancestor.entity);
  if (!ofGroup) found[variable].id = true;
}

/** An expression of Cedar's JSON is an object of one member, whose name is its form. */
function walk(found: Found, expression: Expression): void {
  const [form] = Object.keys(expression);
  const body = (expression as Record<string, unknown>)[form ?? ''];
  switch (form) {
    case 'Value':
      break;
    case 'Var':
      if (body !== 'action') walkVariable(found, body);
      break;
    case '.':
    case 'has':
      walkAttribute(found, body as Attribute);
      break;
    case 'is': {
      const { left, in: ancestor } = body as { left: Expression; in?: Expression };
      if (ancestor !== undefined) walkIn(found, { left, right: ancestor });
      else if (variableOf(left) === undefined) walk(found, left);
      break;
    }
    case 'in':
      walkIn(found, body as Pair);
      break;
    case '==':
    case '!=':
      walkCompared(found, body as Pair);
      break;
    case 'like':
      walk(found, (body as { left: Expression }).left);
      break;
    case 'Slot':
    case 'getTag':
    case 'hasTag':
      readEverything(found);
      break;
    default:
      // Operators, sets, records, calls: each member is an expression. What looks otherwise is no form we know.
      walkMembers(found, body);
  }
}

type Pair = { readonly left: Expression; readonly right: Expression };
type Attribute = { readonly left: Expression; readonly attr: string | readonly string[] };

function walkMembers(found: Found, body: unknown): void {
  const members = typeof body === 'object' && body !== null ? Object.values(body) : [undefined];
  for (const member of members) {
    if (typeof member === 'object' && member !== null) walk(found, member as Expression);
    else readEverything(found);
  }
}

/** A variable as a value of its own: it may end up anywhere. */
function walkVariable(found: Found, name: unknown): void {
  if (name === 'principal' || name === 'resource' || name === 'context') readWhole(found[name]);
  else readEverything(found);
}

function walkAttribute(found: Found, { left, attr }: Attribute): void {
  const variable = variableOf(left);
  const name = typeof attr === 'string' ? attr : attr[0];
  if (variable !== undefined && name !== undefined) {
    const { attributes } = found[variable];
    if (attributes !== 'all') attributes.add(name);
  } else if (isWithinContext(left)) {
    // An attribute of an attribute of the context lies within what is read of it here.
    walk(found, left);
  } else {
    // Of anything else it may be an attribute of the resource, under another name.
    readEverything(found);
  }
}

/** The parents of a principal always count, so an instance's own id matters only where an instance can be meant. */
function walkIn(found: Found, { left, right }: Pair): void {
  const variable = variableOf(left);
  if (variable === undefined) {
    // An entity that is written out may be the principal, and then its parents are asked for.
    readEverything(found);
  } else if (variable === 'principal' && variableOf(right) === 'resource') {
    // No resource is an instance, so for instances only parents can be meant.
    found.resource.id = true;
  } else if (variable !== 'principal' || !isGroup(right)) {
    walkCompared(found, { left, right });
  }
}

function walkCompared(found: Found, { left, right }: Pair): void {
  for (const side of [left, right]) {
    const variable = variableOf(side);
    if (variable === 'principal' || variable === 'resource') found[variable].id = true;
    else walk(found, side);
  }
}

function variableOf(expression: Expression): Variable | undefined {
  if (!('Var' in expression)) return undefined;
  const { Var: variable } = expression as { Var: string };
  return variable === 'principal' || variable === 'resource' || variable === 'context' ? variable : undefined;
}

function isWithinContext(expression: Expression): boolean {
  if (variableOf(expression) === 'context') return true;
  if (!('.' in expression)) return false;
  return isWithinContext((expression as { '.': { left: Expression } })['.'].left);
}

/** Agents and services by name, one or a set: no principal is one of them, so only parents can be meant. */
function isGroup(expression: Expression): boolean {
  if ('Set' in expression) return (expression as { Set: Expression[] }).Set.every(isGroup);
  if (!('Value' in expression)) return false;
  const { Value: value } = expression as { Value: unknown };
  return typeof value === 'object' && value !== null && '__entity' in value && isGroupId(value as EntityId);
}

type EntityId = { readonly __entity: { readonly type: string } } | { readonly type: string };

function isGroupId(entity: EntityId): boolean {
  return typeOf(entity) === 'Agent' || typeOf(entity) === 'Service';
}

function typeOf(entity: EntityId): string {
  return ('__entity' in entity ? entity.__entity : entity).type;
}
