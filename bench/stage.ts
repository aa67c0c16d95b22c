import { cpSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { systemClock } from '../src/base/clock.ts';
import { rootsOf } from '../src/ca/authority.ts';
import { readConfig } from '../src/cmd/config/config.ts';
import { dataDirectory } from '../src/cmd/data-directory.ts';
import { makeServerIdentity } from '../src/cmd/server/server-identity.ts';
import { encodePem } from '../src/der/pem.ts';
import { issuedAnswer, pemOfMany } from '../src/rest/certificate-answers.ts';
import type { BaselineFile } from './baseline.ts';
import { type Member, makeFleet } from './fleet.ts';
import { type Installation, makeInstallation, openInstallation } from './installation.ts';
import type { MemberFile } from './load.ts';

/** What servers, baseline and load generator are started on. */
export interface Stage {
  /** Data directory of an installation with a fleet of enrolled instances; for servers to have copies of. */
  readonly data: string;
  /** Credentials of the fleet, for the load generator. */
  readonly members: string;
  /** Identity of the baseline and what it answers: octet by octet what a renewal is answered. */
  readonly baseline: string;
}

/** Makes an installation below `directory` in which `agents` agents have one instance each. */
export async function makeStage(directory: string, agents: number): Promise<Stage> {
  const data = join(directory, 'stage', 'writ-data');
  await makeInstallation(data, systemClock);
  const installation = await openInstallation(data, systemClock);
  const fleet = await makeFleet(installation, agents, 1);
  const members = join(directory, 'members.json');
  writeMembers(members, installation, fleet);
  const { tls: identity } = await makeServerIdentity(['localhost'], installation.parts);
  const answer = JSON.stringify(issuedAnswer(fleet[0]!.issued, pemOfMany()));
  const baseline = join(directory, 'baseline.json');
  writeFileSync(baseline, JSON.stringify({ identity, answer } satisfies BaselineFile));
  await installation.close();
  return { data, members, baseline };
}

/** Writes the credentials of a fleet for the load generator. */
export function writeMembers(path: string, { parts }: Installation, fleet: readonly Member[]): void {
  const pem = (der: Uint8Array): string => encodePem('CERTIFICATE', der);
  const file: MemberFile = {
    root: pem(rootsOf(parts.authority.authorities())[0]!.certificate.raw),
    members: fleet.map(({ key, issued }) => ({
      key: key.export({ type: 'pkcs8', format: 'pem' }) as string,
      chain: [issued.der, ...issued.chain].map(pem).join(''),
    })),
  };
  writeFileSync(path, JSON.stringify(file));
}

/** Copies a data directory with what lies beside it, to be a server's own. Gives the copy. */
export function copyInstallation(data: string, directory: string): string {
  cpSync(dirname(data), directory, { recursive: true });
  const copy = dataDirectory(join(directory, 'writ-data'));
  writeFileSync(copy.config, JSON.stringify({ ...readConfig(copy.config), anchor: copy.anchor }));
  return copy.path;
}
