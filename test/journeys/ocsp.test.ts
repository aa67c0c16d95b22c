/** OCSP on the real server, at the address that stands in the certificate: before and after a stop, and after a restart. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { decodePemBlocks } from '../../src/der/pem.ts';
import { type Certificate, parseCertificate } from '../../src/x509/certificate.ts';
import { findExtension } from '../../src/x509/extension.ts';
import {
  ACCESS_OCSP,
  AUTHORITY_INFO_ACCESS,
  decodeAuthorityInfoAccess,
} from '../../src/x509/extensions/authority-info-access.ts';
import { encodeCertId } from '../../src/x509/ocsp-cert-id.ts';
import { encodeOcspRequest } from '../../src/x509/ocsp-request.ts';
import { judgeOcspResponse } from '../../src/x509/ocsp-verify.ts';
import { type TestServer, testServer } from '../server.ts';

/** The certificate of a new instance, and its issuer's. */
async function enrol(server: TestServer, name: string): Promise<{ certificate: Certificate; issuer: Certificate }> {
  const out = join(server.scratch, name);
  await server.token('books', 'service');
  const { files } = await server.json<{ files: { certificate: string } }>('enrol', '--service', 'books', '--out', out);
  const [certificate, issuer] = decodePemBlocks(readFileSync(files.certificate, 'utf8')).map(({ der }) =>
    parseCertificate(der),
  );
  return { certificate: certificate!, issuer: issuer! };
}

function responderOf({ extensions }: Certificate): URL {
  const { value } = findExtension(extensions, AUTHORITY_INFO_ACCESS)!;
  const found = decodeAuthorityInfoAccess(value).find(({ method }) => method === ACCESS_OCSP)!;
  return new URL((found.location as { value: string }).value);
}

async function status(
  plain: string,
  { certificate, issuer }: { certificate: Certificate; issuer: Certificate },
): Promise<string> {
  const question = encodeOcspRequest([encodeCertId(certificate, issuer, 'sha256')]);
  const path = encodeURIComponent(Buffer.from(question).toString('base64'));
  const response = await fetch(new URL(`/ocsp/${path}`, plain));
  const der = new Uint8Array(await response.arrayBuffer());
  const judged = judgeOcspResponse(der, { certificate, issuer, now: Date.now() });
  if (judged.kind === 'refused') return judged.why;
  return judged.status.kind === 'revoked' ? `revoked ${judged.status.reason}` : judged.status.kind;
}

const hex = ({ certificate }: { certificate: Certificate }): string => Buffer.from(certificate.serial).toString('hex');

test('a certificate names its responder, which says at once what was stopped, also after a restart', async () => {
  const server = await testServer();
  const [stopped, held] = [await enrol(server, 'stopped'), await enrol(server, 'held')];
  const named = responderOf(stopped.certificate);
  assert.deepEqual([named.port, named.pathname], [new URL(server.plain).port, '/ocsp']);
  assert.equal(await status(server.plain, stopped), 'good');
  assert.equal(await status(server.plain, held), 'good');

  await server.json('cert', 'revoke', hex(stopped), '--cause', 'key_theft');
  assert.equal(await status(server.plain, stopped), 'revoked keyCompromise');
  await server.json('stop', 'certificate', hex(held), '--cause', 'policy_change', '--quarantine');
  assert.equal(await status(server.plain, held), 'revoked certificateHold');

  const again = await server.restart();
  assert.equal(await status(again.plain, stopped), 'revoked keyCompromise');
  assert.equal(await status(again.plain, held), 'revoked certificateHold');
});
