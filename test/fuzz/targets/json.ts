import { globSync } from 'node:fs';
import { join } from 'node:path';
import { parseTokenInput } from '../../../src/attest/token/input.ts';
import { isWritError } from '../../../src/base/error.ts';
import { parseProfile } from '../../../src/ca/profile/profile.ts';
import { parseConfig } from '../../../src/cmd/config/config.ts';
import { parseAnchorRecord } from '../../../src/ledger/anchor-record.ts';
import { decodeEntry } from '../../../src/ledger/entry.ts';
import { canonicalJson, parseCanonicalJson } from '../../../src/merkle/canonical-json.ts';
import { noteKey } from '../../../src/merkle/note-key.ts';
import { parseAgentInput } from '../../../src/registry/agent-input.ts';
import * as agent from '../../../src/wire/agent.ts';
import { parseJsonObject } from '../../../src/wire/json.ts';
import { parse, type Schema } from '../../../src/wire/schema.ts';
import * as token from '../../../src/wire/token.ts';
import { demand, type Target } from '../target.ts';

/** The schemas of all bodies, queries and answers; each input is held against all of them. `text.ts` has members alone. */
const SCHEMAS: readonly Schema<unknown>[] = await allSchemas();

async function allSchemas(): Promise<Schema<unknown>[]> {
  const folder = join(import.meta.dirname, '../../../src/wire');
  const files = globSync('*.ts', { cwd: folder, exclude: ['*.test.ts', 'text.ts'] }).sort();
  const modules = await Promise.all(files.map((file) => import(join(folder, file)) as Promise<object>));
  const exports = modules.flatMap((module) => Object.values(module) as unknown[]);
  return exports.filter(
    (value) => typeof value === 'object' && value !== null && 'safeParse' in value,
  ) as Schema<unknown>[];
}

/** Input: a body. Accepted when one of the schemas takes it. */
export const body: Target = {
  name: 'json-body',
  form: 'json',
  // A quarter of what a door takes, since every schema looks at it and not one.
  longest: 16_384,
  codes: ['bad_request'],
  run(input) {
    const value = parseJsonObject(input);
    demand(Object.getPrototypeOf(value) === Object.prototype, 'a body brings a prototype of its own');
    let refusal: unknown;
    let taken = false;
    for (const schema of SCHEMAS) {
      try {
        parse(schema, value, 'body');
        taken = true;
      } catch (error) {
        if (!isWritError(error)) throw error;
        refusal ??= error;
      }
    }
    if (!taken) throw refusal;
  },
};

/** Input: the body that registers an agent, as its door and then the registry read it. */
export const agentInput: Target = {
  name: 'agent-input',
  form: 'json',
  longest: 65_536,
  codes: ['bad_request', 'too_large'],
  run: (input) =>
    void parseAgentInput({ ...parse(agent.registerAgent, parseJsonObject(input), 'body'), kind: 'agent' }),
};

/** Input: the body that makes a join token, as its door and then attestation read it. */
export const tokenInput: Target = {
  name: 'token-input',
  form: 'json',
  longest: 65_536,
  codes: ['bad_request', 'too_large'],
  run(input) {
    const given = parse(token.createToken, parseJsonObject(input), 'body');
    parseTokenInput({ ...given, agent: given.agent ?? given.service ?? '' });
  },
};

/** Input: a profile as it is published. */
export const profileInput: Target = {
  name: 'profile-input',
  form: 'json',
  longest: 65_536,
  codes: ['bad_request'],
  run: (input) => void parseProfile(parseJsonObject(input)),
};

export const canonical: Target = {
  name: 'canonical-json',
  form: 'json',
  longest: 65_536,
  codes: ['bad_request', 'too_large'],
  run(input) {
    const value = parseCanonicalJson(input);
    demand(Buffer.from(canonicalJson(value)).equals(input), 'canonical JSON has two spellings');
  },
};

export const ledgerEntry: Target = {
  name: 'ledger-entry',
  form: 'json',
  longest: 65_536,
  codes: ['ledger_corrupt'],
  run: (input) => void decodeEntry(0, input),
};

/** Input: a line of the anchor. Signed by nobody here, so none may be accepted. */
export const anchorRecord: Target = {
  name: 'anchor-record',
  form: 'json',
  longest: 65_536,
  codes: [],
  run(input) {
    const record = parseAnchorRecord(input, () => STRANGER);
    demand(record === undefined, 'a record that nobody signed was accepted');
  },
};

const STRANGER = noteKey('agents.test/ledger', Buffer.from(`302a300506032b6570032100${'09'.repeat(32)}`, 'hex'));

export const config: Target = {
  name: 'config',
  form: 'json',
  longest: 16_384,
  codes: ['bad_config'],
  run(input) {
    let value: unknown;
    try {
      value = JSON.parse(Buffer.from(input).toString('utf8'));
    } catch {
      return;
    }
    parseConfig(value);
  },
};
