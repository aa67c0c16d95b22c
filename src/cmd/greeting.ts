import { hash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { isIP } from 'node:net';
import { join, resolve } from 'node:path';
import { rootsOf } from '../ca/authority.ts';
import type { Hierarchy } from '../ca/hierarchy.ts';
import { hostAndPort, splitAddress } from './config/address.ts';
import type { Config } from './config/config.ts';
import type { DataDirectory } from './data-directory.ts';

/** What whoever runs an authority wants to see at one look. */
export interface Greeting {
  readonly directory: DataDirectory;
  readonly config: Config;
  readonly hierarchy: Hierarchy;
  readonly listen: Config['listen'];
}

/** Members are stable: scripts read them. */
export function greetingJson({ directory, config, hierarchy, listen }: Greeting): Record<string, string> {
  return {
    trust_domain: hierarchy.trustDomain,
    root_fingerprint: rootFingerprint(hierarchy),
    api: `https://${shownAddress(listen.api, config)}`,
    public: `https://${shownAddress(listen.public, config)}`,
    plain: `http://${shownAddress(listen.plain, config)}`,
    data: directory.path,
    anchor: config.anchor,
    ...(existsSync(directory.passphrase) ? { passphrase_file: directory.passphrase } : {}),
    operator: directory.operator,
  };
}

/** The same in lines, below a first one of the caller's; with `next` what to try on a server that runs. */
export function greetingText(greeting: Greeting, { next = true }: { readonly next?: boolean } = {}): string {
  const { directory, config, hierarchy, listen } = greeting;
  const { api, public: open, plain } = greetingJson(greeting);
  return `Trust domain  ${hierarchy.trustDomain}
Root          ${rootFingerprint(hierarchy)}
API           ${api}   (public documents: ${open}, CRLs and OCSP: ${plain})
Data          ${directory.path}
Anchor        ${config.anchor}
${passphrase(directory)}
${operator(directory)}
${unreachable(config, listen)}${next ? firstCommands(directory.operator) : ''}`;
}

/** Where it lies and what that protects; where it came from elsewhere, no file of ours is named. */
function passphrase({ passphrase: file }: DataDirectory): string {
  return existsSync(file)
    ? `Passphrase    ${file}
              It opens the authority's keys. A copy of the data directory alone opens none; whoever reads both has
              them all. Keep them apart in production: "writ start --help" lists the other sources.`
    : 'Passphrase    as given; it is kept nowhere here';
}

/** On a replica that joined an installation there is none. */
function operator({ operator: directory }: DataDirectory): string {
  const file = join(directory, 'operator.json');
  return existsSync(file)
    ? `Operator      ${file}   (yours: the commands below use it)`
    : 'Operator      none on this machine: bring your credential, or "writ operator add NAME"';
}

function rootFingerprint({ authorities }: Hierarchy): string {
  const root = rootsOf(authorities)[0];
  return root === undefined ? 'none yet' : `sha256:${hash('sha256', root.certificate.raw)}`;
}

/** A listener on every address of the machine has none to go to: it is reached under the server's first name. */
export function shownAddress(address: string, { names }: Pick<Config, 'names'>): string {
  const { host, port } = splitAddress(address);
  return isWildcard(host) ? hostAndPort(names[0]!, port) : address;
}

/** `0.0.0.0`, `::` and their other spellings: every address of the machine. */
function isWildcard(host: string): boolean {
  return /^(0\.0\.0\.0|[0:]+)$/.test(host);
}

/** A server that other machines reach, and join tokens that send them to themselves. */
function unreachable({ names }: Config, { api }: Config['listen']): string {
  const { host } = splitAddress(api);
  const open = isWildcard(host) || (isIP(host) !== 0 && !/^(127\.|::1$)/.test(host));
  if (!open || !/^(localhost|127\.|::1$)/.test(names[0]!)) return '';
  return `
Note          It listens for other machines, but join tokens name ${names[0]}: put the name by which they reach it first
              into "names" of config.json, and let the authorities vouch for it (--permit-dns, --permit-ip at init).
`;
}

/** What a newcomer pastes next, in the directory where the server was started. */
function firstCommands(operator: string): string {
  // The credential is found by itself only beside data in the usual place.
  const found = operator === resolve('writ-data-operator');
  const flag = found ? '' : ` --operator '${operator}'`;
  return `
Next, in another terminal:
  npx writ agent register planner${flag} --team demo --sponsor you@example.com --purpose "plans things"
  npx writ token create planner${flag}
  npx writ run${flag} --agent planner -- env
`;
}
