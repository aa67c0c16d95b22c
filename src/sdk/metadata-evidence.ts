import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { WritError } from '../base/error.ts';
import { azureNonce } from '../wire/bound-octets.ts';
import type { EvidenceSource } from './evidence.ts';

interface MachineOptions {
  /** Name of the attestor at the server. */
  readonly attestor: string;
  /** Where the machine's metadata service is, without a path. Default: the cloud's own address. */
  readonly metadata?: string;
}

const METADATA = 'http://169.254.169.254';
const TIMEOUT_MS = 5000;
const LARGEST = 65_536;

/** A machine of AWS: its instance identity document, by IMDSv2. Good once for each machine. */
export function awsEvidence({ attestor, metadata = METADATA }: MachineOptions): EvidenceSource {
  return {
    async present() {
      const token = await ask(`${metadata}/latest/api/token`, { 'X-aws-ec2-metadata-token-ttl-seconds': '60' }, 'PUT');
      const headers = { 'X-aws-ec2-metadata-token': token.trim() };
      const document = await ask(`${metadata}/latest/dynamic/instance-identity/rsa2048`, headers);
      return { kind: 'aws', attestor, document: document.replace(/\s/g, '') };
    },
  };
}

/** A machine of Google Cloud: an identity token for the attestor's audience. */
export function gcpEvidence({
  attestor,
  audience,
  metadata = METADATA,
}: MachineOptions & { readonly audience: string }): EvidenceSource {
  return {
    async present() {
      const query = new URLSearchParams({ audience, format: 'full' }).toString();
      const path = '/computeMetadata/v1/instance/service-accounts/default/identity';
      const token = await ask(`${metadata}${path}?${query}`, { 'Metadata-Flavor': 'Google' });
      return { kind: 'gcp', attestor, token: token.trim() };
    },
  };
}

/** A machine of Azure: an attested document for the server's challenge and this key. */
export function azureEvidence({ attestor, metadata = METADATA }: MachineOptions): EvidenceSource {
  return {
    async present(spki, askServer) {
      const { challenge } = await askServer({ attestor });
      const query = new URLSearchParams({ 'api-version': '2021-12-13', nonce: azureNonce(challenge, spki) }).toString();
      const answer = await ask(`${metadata}/metadata/attested/document?${query}`, { Metadata: 'true' });
      const { encoding, signature } = objectIn(answer);
      if (encoding !== 'pkcs7' || typeof signature !== 'string') throw unusable();
      return { kind: 'azure', attestor, challenge, document: signature };
    },
  };
}

/** One question to the machine's own metadata service, which is asked directly, whatever proxies there are. */
async function ask(url: string, headers: Readonly<Record<string, string>>, method = 'GET'): Promise<string> {
  try {
    const sent = request(url, { method, headers, agent: false, signal: AbortSignal.timeout(TIMEOUT_MS) }).end();
    const [answer] = (await once(sent, 'response')) as [IncomingMessage];
    let text = '';
    for await (const chunk of answer.setEncoding('utf8')) {
      text += String(chunk);
      if (text.length > LARGEST) throw new Error('the answer is too large');
    }
    if (answer.statusCode === 200) return text;
    throw new Error(`status ${answer.statusCode}`);
  } catch (cause) {
    throw new WritError('unavailable', 'The metadata service of this machine did not answer as it should.', {
      field: 'metadata',
      remedy: 'Check that this is a machine of that cloud, and that programs on it may reach the metadata service.',
      cause,
    });
  }
}

function objectIn(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value as Readonly<Record<string, unknown>>;
  } catch {
    // As for anything else that is none.
  }
  throw unusable();
}

function unusable(): WritError {
  return new WritError('unavailable', 'The metadata service of this machine answered with something else.', {
    field: 'metadata',
    remedy: 'Check that this is a machine of that cloud.',
  });
}
