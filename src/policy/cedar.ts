import { hash, randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';
import type * as Wasm from '@cedar-policy/cedar-wasm/nodejs';
import { WritError } from '../base/error.ts';

/** What went wrong in a text, and where in it. */
export interface Finding {
  readonly severity: 'error' | 'warning';
  readonly message: string;
  /** Of the text's characters, from 1. */
  readonly line: number;
  readonly column: number;
}

/** A policy as Cedar's JSON has it. */
export type PolicyJson = Wasm.PolicyJson;
export type Expression = Wasm.Expr;
export type CedarCall = Pick<
  Wasm.StatefulAuthorizationCall,
  'principal' | 'action' | 'resource' | 'context' | 'entities'
>;

type CedarAnswer =
  | {
      readonly decided: true;
      readonly allow: boolean /** Ids of the rules that decided. */;
      readonly by: readonly string[];
    }
  /** Something went wrong while evaluating; nothing that came out of it counts. */
  | { readonly decided: false; readonly errors: readonly string[] };

/** A set of rules that is parsed and ready in this thread's Cedar. */
export interface LoadedRules {
  decide(call: CedarCall): CedarAnswer;
  /** Frees what Cedar holds of it. */
  drop(): void;
}

/**
 * Cedar (WebAssembly, 4.3 MB) with a schema, in this thread: about 30 ms to load and 20 ms for the schema. Each is an
 * instance of its own, with memory of its own, in which Cedar keeps what it has parsed by name.
 *
 * What drives Cedar off its stack (a text that is nested deeply enough) leaves that instance unusable: `broken` says so
 * from then on, and another has to be made. So a text that nobody has checked is never given to the one that decides.
 */
export class Cedar {
  readonly #wasm: typeof Wasm;
  readonly #schema: string;
  readonly #prefix: string = randomUUID();
  #sets = 0;
  #broken = false;
  /** Hex SHA-256 of the schema. */
  readonly schemaDigest: string;

  constructor(schema: string) {
    this.#wasm = openWasm();
    this.#schema = schema;
    this.schemaDigest = hash('sha256', schema);
    const parsed = this.#wasm.preparseSchema(this.#prefix, schema);
    if (parsed.type !== 'success') throw defect('the schema does not parse', parsed.errors);
  }

  /** True when it has failed in a way after which nothing that it says counts. */
  get broken(): boolean {
    return this.#broken;
  }

  /** The policies of a text, each as text and as JSON, in no particular order; or why it does not parse. */
  split(text: string): { policies: { text: string; json: PolicyJson }[] } | { findings: Finding[] } {
    return this.#try(() => this.#split(text)) ?? { findings: [unreadable(text)] };
  }

  /** Everything the strict validator says of rules, by id, that stand in `text`. */
  validate(rules: Readonly<Record<string, string>>, text: string): Finding[] {
    return this.#try(() => this.#validate(rules, text)) ?? [unreadable(text)];
  }

  #split(text: string): { policies: { text: string; json: PolicyJson }[] } | { findings: Finding[] } {
    const parts = this.#wasm.policySetTextToParts(text);
    if (parts.type !== 'success') return { findings: findingsOf(parts.errors, 'error', text) };
    if (parts.policy_templates.length > 0) {
      const at = Math.max(0, text.indexOf(parts.policy_templates[0]!));
      return { findings: [findingAt('error', 'templates (?principal, ?resource) are not supported', text, at)] };
    }
    const policies: { text: string; json: PolicyJson }[] = [];
    for (const policy of parts.policies) {
      const converted = this.#wasm.policyToJson(policy);
      if (converted.type !== 'success') return { findings: findingsOf(converted.errors, 'error', text) };
      policies.push({ text: policy, json: converted.json });
    }
    return { policies };
  }

  #validate(rules: Readonly<Record<string, string>>, text: string): Finding[] {
    const answer = this.#wasm.validate({
      schema: this.#schema,
      policies: { staticPolicies: { ...rules } },
      validationSettings: { mode: 'strict' },
    });
    if (answer.type !== 'success') return findingsOf([...answer.errors, ...answer.warnings], 'error', text);
    const of = (found: readonly Wasm.ValidationError[], severity: Finding['severity']): Finding[] =>
      found.flatMap(({ policyId, error }) => findingsOf([error], severity, text, rules[policyId]));
    return [
      ...of(answer.validationErrors, 'error'),
      ...of(answer.validationWarnings, 'warning'),
      ...findingsOf(answer.otherWarnings, 'warning', text),
    ];
  }

  /** Parses rules, by id, once, so that each decision costs the evaluation alone. */
  load(rules: Readonly<Record<string, string>>): LoadedRules {
    const wasm = this.#wasm;
    const preparsedSchemaName = this.#prefix;
    const preparsedPolicySetId = `${this.#prefix}-${++this.#sets}`;
    const parsed = this.#try(() => wasm.preparsePolicySet(preparsedPolicySetId, { staticPolicies: { ...rules } }));
    if (parsed === undefined) throw defect('a validated policy set breaks it', []);
    if (parsed.type !== 'success') throw defect('a validated policy set does not parse', parsed.errors);
    return {
      decide: (call) => {
        const answer = this.#try(() =>
          wasm.statefulIsAuthorized({ ...call, preparsedPolicySetId, preparsedSchemaName, validateRequest: true }),
        );
        if (answer === undefined) return { decided: false, errors: ['Cedar broke'] };
        if (answer.type !== 'success') return { decided: false, errors: answer.errors.map(({ message }) => message) };
        const { decision, diagnostics } = answer.response;
        if (diagnostics.errors.length > 0) {
          return {
            decided: false,
            errors: diagnostics.errors.map(({ policyId, error }) => `${policyId}: ${error.message}`).sort(),
          };
        }
        return { decided: true, allow: decision === 'allow', by: diagnostics.reason };
      },
      // There is no call that forgets a name; an empty set in its place frees the rules.
      drop: () => {
        this.#try(() => wasm.preparsePolicySet(preparsedPolicySetId, { staticPolicies: {} }));
      },
    };
  }

  /** Undefined when Cedar itself threw: its stack is then wherever it was, so it is not called again. */
  #try<T>(call: () => T): T | undefined {
    if (this.#broken) return undefined;
    try {
      return call();
    } catch {
      this.#broken = true;
      return undefined;
    }
  }
}

/** A fresh instance: the module makes one when it is loaded, so it is loaded anew. */
function openWasm(): typeof Wasm {
  const require = createRequire(import.meta.url);
  const path = require.resolve('@cedar-policy/cedar-wasm/nodejs');
  delete require.cache[path];
  return require(path) as typeof Wasm;
}

function unreadable(text: string): Finding {
  return findingAt('error', 'the policy set is nested too deeply to be evaluated', text, 0);
}

/** Cedar counts in octets of UTF-8, from the beginning of `part`, which stands somewhere in `text`. */
function findingsOf(
  errors: readonly Wasm.DetailedError[],
  severity: Finding['severity'],
  text: string,
  part: string = text,
): Finding[] {
  return errors.flatMap((error) => {
    const at = error.sourceLocations?.[0];
    const before = Buffer.from(part, 'utf8')
      .subarray(0, at?.start ?? 0)
      .toString('utf8').length;
    const label = typeof at?.label === 'string' ? `: ${at.label}` : '';
    const help = error.help === null ? '' : ` (${error.help})`;
    return [
      findingAt(severity, `${error.message}${label}${help}`, text, Math.max(0, text.indexOf(part)) + before),
      ...findingsOf(error.related ?? [], severity, text, part),
    ];
  });
}

/** A finding at a character of a text. */
export function findingAt(severity: Finding['severity'], message: string, text: string, index: number): Finding {
  const before = text.slice(0, Math.max(0, index));
  const lastBreak = before.lastIndexOf('\n');
  return { severity, message, line: before.split('\n').length, column: before.length - lastBreak };
}

function defect(what: string, errors: readonly Wasm.DetailedError[]): WritError {
  return new WritError('internal', `Cedar: ${what}: ${errors.map(({ message }) => message).join('; ')}`);
}
