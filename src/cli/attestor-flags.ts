import { WritError } from '../base/error.ts';
import { awsEvidence } from '../sdk/evidence/aws.ts';
import { azureEvidence, azureIdentityEvidence } from '../sdk/evidence/azure.ts';
import { certificateEvidence } from '../sdk/evidence/certificate.ts';
import { gcpEvidence } from '../sdk/evidence/gcp.ts';
import { githubActionsEvidence } from '../sdk/evidence/github-actions.ts';
import type { EvidenceSource, WithEvidence } from '../sdk/evidence/source.ts';
import { tokenEvidence } from '../sdk/evidence/token.ts';
import { tpmEvidence } from '../sdk/evidence/tpm.ts';
import type { Flag, Input } from './command.ts';
import { readInput } from './values.ts';

/** A way to come by evidence: its flags without `evidence-` before them, those that it needs and those that it may have. */
interface Collector {
  readonly needs: readonly (readonly string[])[];
  readonly may: readonly string[];
  make(attestor: string, flag: (name: string) => string | undefined): EvidenceSource;
}

const TOKEN = [['token-file', 'token-variable']] as const;

/** What may stand behind `--evidence`. */
const COLLECTORS: Readonly<Record<string, Collector>> = {
  oidc: { needs: TOKEN, may: [], make: (attestor, flag) => tokenEvidence({ attestor, ...placeOf(flag) }) },
  k8s: { needs: TOKEN, may: [], make: (attestor, flag) => tokenEvidence({ attestor, kind: 'k8s', ...placeOf(flag) }) },
  'github-actions': {
    needs: [['audience']],
    may: [],
    make: (attestor, flag) => githubActionsEvidence({ attestor, audience: flag('audience')! }),
  },
  x509pop: {
    needs: [['chain-file'], ['key-file']],
    may: [],
    make: (attestor, flag) =>
      certificateEvidence({ attestor, chainFile: flag('chain-file'), keyFile: flag('key-file') }),
  },
  tpm: {
    needs: [],
    may: ['device', 'chain-file'],
    make: (attestor, flag) => {
      const [device, chain] = [flag('device'), flag('chain-file')];
      return tpmEvidence({
        attestor,
        ...(device === undefined ? {} : { device }),
        ...(chain === undefined ? {} : { intermediates: [readInput(chain, '--evidence-chain-file')] }),
      });
    },
  },
  aws: {
    needs: [],
    may: ['metadata'],
    make: (attestor, flag) => awsEvidence({ attestor, metadata: flag('metadata') }),
  },
  gcp: {
    needs: [['audience']],
    may: ['metadata'],
    make: (attestor, flag) => gcpEvidence({ attestor, audience: flag('audience')!, metadata: flag('metadata') }),
  },
  'gcp-identity': {
    needs: [['audience']],
    may: ['metadata'],
    make: (attestor, flag) =>
      gcpEvidence({ attestor, audience: flag('audience')!, metadata: flag('metadata'), kind: 'oidc' }),
  },
  azure: {
    needs: [],
    may: ['metadata'],
    make: (attestor, flag) => azureEvidence({ attestor, metadata: flag('metadata') }),
  },
  'azure-identity': {
    needs: [['audience']],
    may: ['metadata'],
    make: (attestor, flag) =>
      azureIdentityEvidence({ attestor, audience: flag('audience')!, metadata: flag('metadata') }),
  },
};

function placeOf(flag: (name: string) => string | undefined): {
  file?: string | undefined;
  variable?: string | undefined;
} {
  return { file: flag('token-file'), variable: flag('token-variable') };
}

const DETAILS: readonly Flag[] = [
  { name: 'evidence-token-file', value: 'file', summary: 'oidc, k8s: file that somebody keeps a fresh token in' },
  { name: 'evidence-token-variable', value: 'name', summary: 'oidc, k8s: environment variable that holds the token' },
  {
    name: 'evidence-audience',
    value: 'text',
    summary:
      'github-actions, gcp, gcp-identity, azure-identity: whom the token is to be made out to, as the attestor has it',
  },
  {
    name: 'evidence-chain-file',
    value: 'file',
    summary:
      'x509pop: the certificate and those above it (PEM); tpm: authorities between the endorsement key and its root',
  },
  {
    name: 'evidence-key-file',
    value: 'file',
    summary: 'x509pop: the private key of the certificate (PEM); it is not sent',
  },
  { name: 'evidence-device', value: 'path', summary: 'tpm: the module; default /dev/tpmrm0' },
  {
    name: 'evidence-metadata',
    value: 'url',
    summary:
      'aws, gcp, gcp-identity, azure, azure-identity: where the metadata service is; default http://169.254.169.254',
  },
];

/** How it is said by what an attestor of the server knows this machine or program. */
export const ATTESTOR_FLAGS: readonly Flag[] = [
  {
    name: 'attestor',
    value: 'name',
    summary: 'attestor of the server that lets this in on evidence, in place of a token; with --server and --root',
  },
  { name: 'evidence', value: 'kind', summary: 'with --attestor: what it is shown', choices: Object.keys(COLLECTORS) },
  ...DETAILS,
  {
    name: 'root',
    value: 'sha256:…|file',
    summary:
      'with --attestor: fingerprint of the root of the authority, as "writ start" shows it, or a file with it (PEM)',
    environment: 'WRIT_ROOT',
  },
];

/**
 * What `ATTESTOR_FLAGS` say; undefined where no attestor is named. Throws `bad_request` for what is missing and for what
 * does not go together. Nothing is collected yet.
 */
export function evidenceGiven(input: Input, agent: string | undefined): WithEvidence | undefined {
  const [attestor, kind] = [input.flag('attestor'), input.flag('evidence')];
  const detail = (name: string): string | undefined => input.flag(`evidence-${name}`);
  if (attestor === undefined) {
    const stray = ['evidence', ...DETAILS.map(({ name }) => name)].find((name) => input.flag(name) !== undefined);
    if (stray === undefined) return undefined;
    throw missing(
      'attestor',
      `--${stray} is for an attestor. Say which one is to be shown it, see "writ attestor list".`,
    );
  }
  if (kind === undefined) {
    throw missing('evidence', `Say what the attestor is shown: ${Object.keys(COLLECTORS).join(', ')}.`);
  }
  const { needs, may, make } = COLLECTORS[kind]!;
  for (const ways of needs) {
    const given = ways.filter((name) => detail(name) !== undefined);
    const flags = ways.map((name) => `--evidence-${name}`);
    const remedy = `With --evidence ${kind} give ${flags.join(' or ')}.`;
    if (given.length === 0) throw missing(flags[0]!.slice(2), remedy);
    if (given.length > 1) throw refused(flags[0]!.slice(2), 'is given in two ways', remedy);
  }
  const known = new Set([...needs.flat(), ...may].map((name) => `evidence-${name}`));
  const stray = DETAILS.find(({ name }) => input.flag(name) !== undefined && !known.has(name));
  if (stray !== undefined) {
    throw new WritError('bad_request', `--${stray.name} says nothing with --evidence ${kind}`, {
      field: `--${stray.name}`,
      remedy: 'Leave it out, or see --help for what it goes with.',
    });
  }
  const server = input.flag('server');
  if (server === undefined) {
    throw missing('server', 'Say where the server is, or in WRIT_SERVER, like https://writ.example.com:8443.');
  }
  return { source: make(attestor, detail), server, root: rootGiven(input), ...(agent === undefined ? {} : { agent }) };
}

function rootGiven(input: Input): string {
  const root = input.flag('root');
  if (root === undefined) {
    throw missing(
      'root',
      'No evidence says whose server it may be shown to. Give the fingerprint that "writ status" shows, or the root in a file; or in WRIT_ROOT.',
    );
  }
  return /^(?:sha256:)?[0-9a-f]{64}$/i.test(root) ? root : readInput(root, '--root');
}

function missing(flag: string, remedy: string): WritError {
  return refused(flag, 'is missing', remedy);
}

function refused(flag: string, fault: string, remedy: string): WritError {
  return new WritError('bad_request', `--${flag} ${fault}`, { field: `--${flag}`, remedy });
}
