import { WritError } from '../../base/error.ts';
import type { AttestorKind, AttestorSettings } from '../../wire/attestor.ts';
import type { Verifier } from '../evidence.ts';

// biome-ignore lint/suspicious/noExplicitAny: each kind has types of its own, bound in its file.
export type AnyVerifier = Verifier<any, any>;

/** Which kinds of evidence this server can verify. */
export type Verifiers = Readonly<Partial<Record<AttestorKind, AnyVerifier>>>;

/** Throws `bad_request` for a kind that this server cannot verify, and what the kind says of its parameters. */
export function parseSettings({ kind, parameters }: AttestorSettings, verifiers: Verifiers): unknown {
  const verifier = verifiers[kind];
  if (verifier === undefined) {
    throw new WritError('bad_request', `Evidence of the kind ${kind} cannot be verified by this server.`, {
      field: '/settings/kind',
      remedy: `Give one of: ${Object.keys(verifiers).join(', ')}.`,
    });
  }
  return verifier.parse(parameters as never);
}
