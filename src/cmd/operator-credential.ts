import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Caller } from '../base/access.ts';
import { WritError } from '../base/error.ts';
import { rootsOf } from '../ca/authority.ts';
import type { OperatorCredential } from '../cli/credential.ts';
import { encodePem } from '../der/pem.ts';
import { addOperatorOf } from '../issuance/add-operator.ts';
import { issueOperatorCertificate } from '../issuance/operator.ts';
import { personOf } from '../registry/person.ts';
import type { Name } from '../spiffe-id/name.ts';
import { hostAndPort, splitAddress } from './config/address.ts';
import type { Config } from './config/config.ts';
import { makeOwnKey } from './own-key.ts';
import type { ThreadParts } from './server/thread-parts.ts';

/** Who acts when a command runs on the server's machine with the passphrase. */
export const ADMINISTRATOR: Caller = { kind: 'system', id: 'system:administrator' };

/**
 * Makes a key and a certificate for an operator, a new one or (`existing`) one who lost theirs, and gives the credential
 * and the certificate's serial number.
 * `server` is where the command line will find the server.
 */
export async function makeOperatorCredential(
  request: {
    readonly name: Name;
    readonly server: string;
    readonly existing: boolean;
    /** Of a new operator: whose credential it is; absent: somebody's by the same name. */
    readonly person?: string | undefined;
    readonly email?: string | undefined;
    /** Of a new operator: that it is no person's. */
    readonly program?: boolean;
    /** Of a new operator: groups that the person is taken into by the same act. */
    readonly groups?: readonly string[];
  },
  parts: ThreadParts,
): Promise<{ readonly credential: OperatorCredential; readonly serial: Uint8Array }> {
  const { name, server, existing } = request;
  const { pem: key, csr } = await makeOwnKey(parts.hierarchy.algorithm);
  const issued = existing
    ? await issueOperatorCertificate(ADMINISTRATOR, { operator: name, csr }, parts.issuance)
    : await addOperatorOf(
        ADMINISTRATOR,
        {
          ...{ operator: name, csr, groups: request.groups ?? [] },
          person: request.program === true ? undefined : await personOf(parts.reader, name, request),
        },
        parts.issuance,
      );
  const pem = (der: Uint8Array): string => encodePem('CERTIFICATE', der);
  const credential: OperatorCredential = {
    version: 1,
    name,
    server,
    roots: rootsOf(parts.authority.authorities()).map(({ certificate }) => pem(certificate.raw)),
    chain: [issued.der, ...issued.chain].map(pem),
    key,
  };
  return { credential, serial: issued.serial };
}

/** Where the command line finds the server: under its first name, at the port of the API. */
export function serverUrl({ names, listen }: Pick<Config, 'names' | 'listen'>): string {
  return `https://${hostAndPort(names[0]!, splitAddress(listen.api).port)}`;
}

/**
 * Writes a credential owner-only, in an owner-only directory. Refuses (`conflict`) to replace one without `replace`; where
 * it replaces one, a crash leaves the old or the new.
 */
export function writeCredential(path: string, credential: OperatorCredential, replace: boolean): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  if (!replace && existsSync(path)) throw taken(path);
  // Always a new file: what is written through a link, or into a file that somebody else made, is theirs to read.
  const aside = `${path}.new`;
  rmSync(aside, { force: true });
  const text = `${JSON.stringify(credential, undefined, 2)}\n`;
  writeFileSync(aside, text, { mode: 0o600, flag: 'wx', flush: true });
  renameSync(aside, path);
}

function taken(path: string): WritError {
  return new WritError('conflict', 'There is a credential in this file already', {
    field: '--out',
    remedy: `Name another file, or move it away: ${path}`,
  });
}
