import { posix } from 'node:path';

/** The rows of `docs/ARCHITECTURE.md`, highest first. A folder may import from lower rows and from itself. */
export const ROWS: readonly (readonly string[])[] = [
  ['cmd'],
  ['rest', 'acme', 'est', 'vault', 'status', 'spiffe', 'authzen', 'mcp', 'gateway', 'console', 'agent', 'cli'],
  ['issuance', 'revocation', 'authz', 'approval', 'discovery', 'report'],
  ['ca', 'ledger', 'policy', 'registry', 'attest', 'sdk'],
  ['keys'],
  ['x509', 'jwt', 'db', 'http', 'grpc'],
  ['der', 'merkle', 'spiffe-id', 'wire'],
  ['base'],
];

/** What runs on other people's machines reaches only these besides itself. */
const CLIENT_SIDE = new Set(['sdk', 'agent', 'cli']);
const CLIENT_REACH = new Set([
  'sdk',
  'keys',
  'x509',
  'jwt',
  'http',
  'grpc',
  'der',
  'merkle',
  'spiffe-id',
  'wire',
  'base',
]);

const IMPORT = /(?:from\s+|import\s*\(?\s*)['"](\.[^'"]+)['"]/g;

/** Takes files by their path below `src` (with `/`); gives one line for each import that breaks a rule. */
export function layerViolations(files: readonly { path: string; text: string }[]): string[] {
  const row = new Map(ROWS.flatMap((folders, index) => folders.map((folder) => [folder, index] as const)));
  const violations: string[] = [];
  for (const { path, text } of files) {
    const from = path.split('/')[0]!;
    for (const [, target] of text.matchAll(IMPORT)) {
      const to = posix.normalize(posix.join(posix.dirname(path), target!)).split('/')[0]!;
      if (to === from) continue;
      const [a, b] = [row.get(from), row.get(to)];
      if (b === undefined) violations.push(`${path} imports ${target}, which is in no row`);
      else if (a === undefined || b <= a) violations.push(`${path} imports ${target}, which does not point down`);
      else if (CLIENT_SIDE.has(from) && !CLIENT_REACH.has(to)) {
        violations.push(`${path} imports ${target}, but ${from} runs on other people's machines`);
      }
    }
  }
  return violations;
}
