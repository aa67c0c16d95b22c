import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { isWritError } from '../base/error.ts';
import { azureNonce } from '../wire/bound-octets.ts';
import type { EvidenceSource } from './evidence.ts';
import { awsEvidence, azureEvidence, gcpEvidence } from './metadata-evidence.ts';

/* Metadata services by their published references: who leaves out a header, or asks in another way, is refused. */

const SPKI = Buffer.from('key');
const challenge = async () => ({ challenge: 'fresh', expires_at: '2026-06-01T00:00:00.000Z' });

/** Answers by method and path with query; undefined: 400. */
async function present(
  answer: (asked: string, headers: IncomingMessage['headers']) => string | undefined,
  source: (metadata: string) => EvidenceSource,
): Promise<unknown> {
  const server = createServer((request, response) => {
    const text = answer(`${request.method} ${request.url}`, request.headers);
    response.writeHead(text === undefined ? 400 : 200).end(text);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const { port } = server.address() as AddressInfo;
    return await source(`http://127.0.0.1:${port}`).present(SPKI, challenge);
  } finally {
    server.close();
  }
}

test('AWS: a session first, then the document in one line', async () => {
  const evidence = await present(
    (asked, headers) => {
      if (asked === 'PUT /latest/api/token' && headers['x-aws-ec2-metadata-token-ttl-seconds']) return 'session';
      const known = headers['x-aws-ec2-metadata-token'] === 'session';
      return asked === 'GET /latest/dynamic/instance-identity/rsa2048' && known ? 'MIAG\nCSqG\n' : undefined;
    },
    (metadata) => awsEvidence({ attestor: 'aws', metadata }),
  );
  assert.deepEqual(evidence, { kind: 'aws', attestor: 'aws', document: 'MIAGCSqG' });
});

test('Google Cloud: a token for the audience, in the full format', async () => {
  const evidence = await present(
    (asked, headers) => {
      const url = new URL(asked.slice(4), 'http://metadata');
      const right = url.pathname === '/computeMetadata/v1/instance/service-accounts/default/identity';
      const full = url.searchParams.get('format') === 'full' && headers['metadata-flavor'] === 'Google';
      return right && full ? `token-for-${url.searchParams.get('audience')}` : undefined;
    },
    (metadata) => gcpEvidence({ attestor: 'gcp', audience: 'https://writ.example.com', metadata }),
  );
  assert.deepEqual(evidence, { kind: 'gcp', attestor: 'gcp', token: 'token-for-https://writ.example.com' });
});

test('Azure: a document with the nonce of challenge and key', async () => {
  const source = (metadata: string): EvidenceSource => azureEvidence({ attestor: 'azure', metadata });
  const evidence = await present((asked, headers) => {
    const url = new URL(asked.slice(4), 'http://metadata');
    const right = url.pathname === '/metadata/attested/document' && url.searchParams.has('api-version');
    if (!right || headers['metadata'] !== 'true') return undefined;
    return JSON.stringify({ encoding: 'pkcs7', signature: `signed ${url.searchParams.get('nonce')}` });
  }, source);
  const document = `signed ${azureNonce('fresh', SPKI)}`;
  assert.deepEqual(evidence, { kind: 'azure', attestor: 'azure', challenge: 'fresh', document });
});

test('what is no metadata service is said to be none', async () => {
  const sources = [
    (metadata: string) => awsEvidence({ attestor: 'x', metadata }),
    (metadata: string) => gcpEvidence({ attestor: 'x', audience: 'x', metadata }),
    (metadata: string) => azureEvidence({ attestor: 'x', metadata }),
  ];
  const none = (error: unknown): boolean => isWritError(error, 'unavailable') && error.field === 'metadata';
  for (const source of sources) {
    await assert.rejects(
      present(() => undefined, source),
      none,
    );
    await assert.rejects(
      present(() => 'x'.repeat(100_000), source),
      none,
    );
    await assert.rejects(source('http://127.0.0.1:1').present(SPKI, challenge), none);
  }
  for (const answer of ['no JSON', '[]', '{"encoding":"pkcs7"}', '{"encoding":"x","signature":"y"}']) {
    await assert.rejects(
      present(() => answer, sources[2]!),
      none,
    );
  }
});
