import { existsSync, readFileSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { WritError } from '../base/error.ts';

/** What `writ init` and `writ operator add` write: everything that a command line needs to speak to its server. */
export interface OperatorCredential {
  readonly version: 1;
  readonly name: string;
  /** `https://host:port`. */
  readonly server: string;
  /** PEM of the roots. */
  readonly roots: readonly string[];
  /** PEM: the operator's certificate and the authorities above it, without the root. */
  readonly chain: readonly string[];
  /** PEM. */
  readonly key: string;
}

const FILE = 'operator.json';

/** Where a credential is looked for when none is named: beside the data directory, then in the person's own place. */
function usualPlaces(): readonly string[] {
  return [resolve('writ-data-operator', FILE), join(homedir(), '.config', 'writ', FILE)];
}

/** The file of the credential that is named, or found. Throws `not_authenticated` when there is none. */
export function credentialFile(named: string | undefined): string {
  if (named !== undefined) return existsSync(named) && statSync(named).isDirectory() ? join(named, FILE) : named;
  const places = usualPlaces();
  const found = places.find((place) => existsSync(place));
  if (found !== undefined) return found;
  throw new WritError('not_authenticated', 'No operator credential was found', {
    field: '--operator',
    remedy: `Run the command where "writ start" made writ-data-operator, or name the file. Looked in ${places.join(' and ')}.`,
  });
}

/**
 * Reads a credential. Throws `unsafe_permissions` when others can, `not_authenticated` when it cannot be read,
 * `bad_config` when it is none.
 */
export function readCredential(file: string): OperatorCredential {
  let text: string;
  try {
    if (process.platform !== 'win32' && (statSync(file).mode & 0o077) !== 0) {
      throw new WritError('unsafe_permissions', 'Others than its owner can read the operator credential', {
        field: '--operator',
        remedy: `Run: chmod 600 '${file}'`,
      });
    }
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    if (cause instanceof WritError) throw cause;
    throw new WritError('not_authenticated', 'The operator credential cannot be read', {
      field: '--operator',
      remedy: `Check the path: ${file}`,
      cause,
    });
  }
  const parsed = tryParse(text);
  if (isCredential(parsed)) return parsed;
  throw new WritError('bad_config', 'This is not an operator credential', {
    field: '--operator',
    remedy: `Name the operator.json that "writ start" or "writ operator add" wrote; this is ${file}`,
  });
}

function tryParse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isCredential(value: unknown): value is OperatorCredential {
  if (typeof value !== 'object' || value === null) return false;
  const { version, name, server, roots, chain, key } = value as Record<string, unknown>;
  const texts = (list: unknown): boolean =>
    Array.isArray(list) && list.length > 0 && list.every((one) => typeof one === 'string');
  return version === 1 && [name, server, key].every((one) => typeof one === 'string') && texts(roots) && texts(chain);
}
