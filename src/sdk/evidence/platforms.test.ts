import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { isWritError } from '../../base/error.ts';
import { azureNonce } from '../../wire/bound-octets.ts';
import { awsEvidence } from './aws.ts';
import { azureEvidence, azureIdentityEvidence } from './azure.ts';
import { gcpEvidence } from './gcp.ts';
import { githubActionsEvidence } from './github-actions.ts';
import type { EvidenceSource } from './source.ts';
import {
  awsMetadata,
  azureAppService,
  azureMetadata,
  gcpMetadata,
  githubActions,
  platform,
} from './testdata/platforms.ts';

const SPKI = Buffer.from('key');
const challenge = async () => ({ challenge: 'fresh', expires_at: '2026-06-01T00:00:00.000Z' });
const present = (source: EvidenceSource): Promise<unknown> => source.present(SPKI, challenge);
/** In the shape of a token, and telling what it was asked for. */
const token = (...said: readonly unknown[]): string =>
  `e30.${Buffer.from(JSON.stringify(said)).toString('base64url')}.c2ln`;

const NAMES = [
  'ACTIONS_ID_TOKEN_REQUEST_URL',
  'ACTIONS_ID_TOKEN_REQUEST_TOKEN',
  'IDENTITY_ENDPOINT',
  'IDENTITY_HEADER',
] as const;
const before = NAMES.map((name) => process.env[name]);
afterEach(() => {
  for (const [index, name] of NAMES.entries()) {
    if (before[index] === undefined) delete process.env[name];
    else process.env[name] = before[index];
  }
});

test('AWS: a session first, then the document in one line', async () => {
  const document = 'MIAGCSqG'.repeat(30);
  await using metadata = await awsMetadata(() => document);
  const source = awsEvidence({ attestor: 'aws', metadata: metadata.url });
  assert.deepEqual(await present(source), { kind: 'aws', attestor: 'aws', document });
  assert.deepEqual(metadata.asked, ['PUT /latest/api/token', 'GET /latest/dynamic/instance-identity/rsa2048']);
});

test('Google Cloud: a token for the audience in the full format, for machines and for service accounts', async () => {
  await using metadata = await gcpMetadata(token);
  const options = { attestor: 'gcp', audience: 'https://writ.example.com/?a=b&c', metadata: metadata.url };
  const said = token(options.audience, true);
  assert.deepEqual(await present(gcpEvidence(options)), { kind: 'gcp', attestor: 'gcp', token: said });
  const oidc = gcpEvidence({ ...options, kind: 'oidc' });
  assert.deepEqual(await present(oidc), { kind: 'oidc', attestor: 'gcp', token: said });
});

test('Google Cloud: who does not say that he is the metadata server is none', async () => {
  await using somebody = await platform(() => ({ status: 200, body: token() }));
  await assert.rejects(present(gcpEvidence({ attestor: 'x', audience: 'x', metadata: somebody.url })), noAnswer);
});

test('Azure: a document with the nonce of challenge and key', async () => {
  await using metadata = await azureMetadata({ document: (nonce) => `signed ${nonce}` });
  const document = `signed ${azureNonce('fresh', SPKI)}`;
  const source = azureEvidence({ attestor: 'azure', metadata: metadata.url });
  assert.deepEqual(await present(source), { kind: 'azure', attestor: 'azure', challenge: 'fresh', document });
});

test('Azure: a managed identity, of a machine or as the environment of a service says', async () => {
  await using metadata = await azureMetadata({ token });
  const options = { attestor: 'azure-id', audience: 'api://writ' };
  const want = { kind: 'oidc', attestor: 'azure-id', token: token('api://writ') };
  assert.deepEqual(await present(azureIdentityEvidence({ ...options, metadata: metadata.url })), want);
  await using service = await azureAppService('secret', token);
  process.env['IDENTITY_ENDPOINT'] = `${service.url}/msi/token`;
  process.env['IDENTITY_HEADER'] = 'secret';
  assert.deepEqual(await present(azureIdentityEvidence(options)), want);
  process.env['IDENTITY_HEADER'] = 'another';
  await assert.rejects(
    present(azureIdentityEvidence(options)),
    (error) => noAnswer(error) && /status 401/.test(String(error)),
  );
});

test('GitHub Actions: a token for the audience, from where the job is told', async () => {
  await using actions = await githubActions('bearer', token);
  process.env['ACTIONS_ID_TOKEN_REQUEST_URL'] = `${actions.url}/_apis/idtoken?api-version=2.0`;
  process.env['ACTIONS_ID_TOKEN_REQUEST_TOKEN'] = 'bearer';
  const source = githubActionsEvidence({ attestor: 'github', audience: 'agents.example.com' });
  const said = token('agents.example.com');
  assert.deepEqual(await present(source), { kind: 'oidc', attestor: 'github', token: said });
  process.env['ACTIONS_ID_TOKEN_REQUEST_TOKEN'] = 'secret-of-another-job';
  await assert.rejects(present(source), (error) => {
    assert.ok(isWritError(error, 'unavailable') && /status 401/.test(error.message));
    assert.doesNotMatch(`${error.message} ${error.remedy}`, /secret-of-another-job/);
    return true;
  });
});

test('GitHub Actions: a job that may not ask is told which permission it lacks; the bearer goes to nobody in clear', async () => {
  const source = githubActionsEvidence({ attestor: 'github', audience: 'x' });
  const lacking = (error: unknown): boolean =>
    isWritError(error, 'bad_config') && /id-token: write/.test(error.remedy ?? '');
  for (const [url, bearer] of [
    [undefined, undefined],
    ['https://127.0.0.1:1/x', undefined],
    ['no url', 'bearer'],
    ['http://192.0.2.1/x', 'bearer'],
    ['http://127.0.0.1.example.com/x', 'bearer'],
  ]) {
    for (const [name, value] of [
      ['ACTIONS_ID_TOKEN_REQUEST_URL', url],
      ['ACTIONS_ID_TOKEN_REQUEST_TOKEN', bearer],
    ] as const) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
    await assert.rejects(present(source), lacking, url ?? 'nothing');
  }
});

const noAnswer = (error: unknown): boolean => isWritError(error, 'unavailable') && error.field === 'metadata';

test('what is no metadata service is said to be none, and what to look at', async () => {
  const sources = [
    (metadata: string) => awsEvidence({ attestor: 'x', metadata }),
    (metadata: string) => gcpEvidence({ attestor: 'x', audience: 'x', metadata }),
    (metadata: string) => azureEvidence({ attestor: 'x', metadata }),
    (metadata: string) => azureIdentityEvidence({ attestor: 'x', audience: 'x', metadata }),
  ];
  for (const source of sources) {
    for (const status of [301, 400, 500]) {
      await using wrong = await platform(() => ({ status, headers: { Location: 'http://127.0.0.1:1/' } }));
      await assert.rejects(
        present(source(wrong.url)),
        (error) => noAnswer(error) && new RegExp(`status ${status}`).test(String(error)),
      );
      assert.equal(wrong.asked.length, 1, 'no redirect is followed');
    }
    await using endless = await platform(() => ({ status: 200, body: 'x'.repeat(100_000) }));
    await assert.rejects(present(source(endless.url)), (error) => noAnswer(error) && /too large/.test(String(error)));
    await assert.rejects(
      present(source('http://127.0.0.1:1')),
      (error) =>
        noAnswer(error) && /ECONNREFUSED/.test(String(error)) && isWritError(error) && error.remedy !== undefined,
    );
    for (const where of ['169.254.169.254', 'ftp://127.0.0.1', 'http://127.0.0.1/latest', 'http://a@127.0.0.1']) {
      assert.throws(
        () => source(where),
        (error) => isWritError(error, 'bad_config') && error.field === 'metadata',
      );
    }
  }
  for (const body of ['no JSON', '[]', 'null', '{}', '{"signature":1}', '{"signature":""}']) {
    await using wrong = await platform(() => ({ status: 200, body }));
    await assert.rejects(present(sources[2]!(wrong.url)), noAnswer);
  }
});

test('what is no token is not sent, and not repeated', async () => {
  const mark = { 'Metadata-Flavor': 'Google' };
  await using wrong = await platform(() => ({ status: 200, headers: mark, body: '<html>sign in</html>' }));
  await assert.rejects(present(gcpEvidence({ attestor: 'x', audience: 'x', metadata: wrong.url })), (error) => {
    assert.ok(isWritError(error, 'bad_config'));
    assert.doesNotMatch(`${error.message} ${error.remedy}`, /html/);
    return true;
  });
});
