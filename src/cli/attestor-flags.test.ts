import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isWritError } from '../base/error.ts';
import type { WithEvidence } from '../sdk/evidence/source.ts';
import { ATTESTOR_FLAGS, evidenceGiven } from './attestor-flags.ts';
import { CONNECTION_FLAGS } from './connection.ts';
import { toInput } from './input.ts';

const ROOT = `sha256:${'0'.repeat(64)}`;
const command = {
  path: 'agent run',
  summary: '',
  flags: [...ATTESTOR_FLAGS, ...CONNECTION_FLAGS],
  run: async (): Promise<number> => 0,
};

/** What a line of flags says, as the parser hands it over. */
function given(line: string, environment: Record<string, string> = {}): WithEvidence | undefined {
  const words = line.split(' ').filter((word) => word !== '');
  const options: Record<string, string> = {};
  for (let at = 0; at < words.length; at += 2) {
    options[words[at]!.slice(2).replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase())] = words[at + 1]!;
  }
  return evidenceGiven(toInput(command, { given: [], options, environment }), undefined);
}

const WHERE = { WRIT_SERVER: 'https://writ.example.com:8443', WRIT_ROOT: ROOT };

test('each kind of evidence is made of its own flags', () => {
  assert.equal(given(''), undefined);
  assert.equal(given('', WHERE), undefined, 'the environment alone names no attestor');
  for (const flags of [
    'oidc --evidence-token-file x',
    'oidc --evidence-token-variable X',
    'k8s --evidence-token-file x',
    'github-actions --evidence-audience x',
    'x509pop --evidence-chain-file x --evidence-key-file y',
    'tpm',
    'tpm --evidence-device /dev/tpmrm1',
    'aws',
    'aws --evidence-metadata http://[fd00:ec2::254]',
    'gcp --evidence-audience x',
    'gcp-identity --evidence-audience x --evidence-metadata http://127.0.0.1:1',
    'azure',
    'azure-identity --evidence-audience x',
  ]) {
    const { server, root, source } = given(`--attestor one --evidence ${flags}`, WHERE)!;
    assert.deepEqual([server, root, typeof source.present], [WHERE.WRIT_SERVER, ROOT, 'function'], flags);
    assert.equal(source.renew !== undefined, flags.startsWith('tpm'));
  }
});

test('what is missing or stray is said with what would be right', () => {
  const cases: readonly [flags: string, field: string, remedy: RegExp][] = [
    ['--evidence oidc', '--attestor', /writ attestor list/],
    ['--evidence-token-file x', '--attestor', /--evidence-token-file is for an attestor/],
    ['--attestor one', '--evidence', /oidc, k8s, github-actions, x509pop, tpm, aws, gcp/],
    ['--attestor one --evidence oidc', '--evidence-token-file', /--evidence-token-file or --evidence-token-variable/],
    [
      '--attestor one --evidence k8s --evidence-token-file x --evidence-token-variable X',
      '--evidence-token-file',
      /--evidence-token-file or --evidence-token-variable/,
    ],
    ['--attestor one --evidence x509pop --evidence-chain-file x', '--evidence-key-file', /--evidence-key-file/],
    ['--attestor one --evidence gcp', '--evidence-audience', /--evidence-audience/],
    ['--attestor one --evidence aws --evidence-audience x', '--evidence-audience', /Leave it out/],
    ['--attestor one --evidence tpm --evidence-chain-file /nonexistent', '--evidence-chain-file', /\/nonexistent/],
    ['--attestor one --evidence aws --root /nonexistent', '--root', /\/nonexistent/],
  ];
  for (const [flags, field, remedy] of cases) {
    assert.throws(
      () => given(flags, WHERE),
      (error) => {
        assert.ok(isWritError(error, 'bad_request'), flags);
        assert.equal(error.field, field, flags);
        assert.match(error.remedy!, remedy);
        return true;
      },
    );
  }
  for (const name of ['WRIT_SERVER', 'WRIT_ROOT'] as const) {
    const others = Object.fromEntries(Object.entries(WHERE).filter(([one]) => one !== name));
    assert.throws(
      () => given('--attestor one --evidence aws', others),
      (error) => isWritError(error, 'bad_request') && error.field === `--${name.slice(5).toLowerCase()}`,
    );
  }
  assert.throws(
    () => given('--attestor one --evidence aws --evidence-metadata nowhere', WHERE),
    (error) => isWritError(error, 'bad_config') && error.field === 'metadata',
  );
});
