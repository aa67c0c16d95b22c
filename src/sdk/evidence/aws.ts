import { ask } from './ask.ts';
import { type MachineOptions, metadataOf } from './machine.ts';
import type { EvidenceSource } from './source.ts';

/** A machine of AWS: its instance identity document, by IMDSv2. Good once for each machine, soon after its launch. */
export function awsEvidence(options: MachineOptions): EvidenceSource {
  const { attestor } = options;
  const base = metadataOf(options);
  return {
    async present() {
      const whom = { whom: 'metadata service of AWS', field: 'metadata', remedy: REMEDY };
      // "How instance metadata works": a session by PUT, with how long it is to last, and then its token in each request.
      const token = await ask({
        ...{ url: `${base}/latest/api/token`, method: 'PUT', ...whom },
        headers: { 'X-aws-ec2-metadata-token-ttl-seconds': '60' },
      });
      const document = await ask({
        ...{ url: `${base}/latest/dynamic/instance-identity/rsa2048`, ...whom },
        headers: { 'X-aws-ec2-metadata-token': token.trim() },
      });
      return { kind: 'aws', attestor, document: document.replace(/\s/g, '') };
    },
  };
}

const REMEDY =
  'Check that this is a machine of EC2 with its metadata service on; in a container its hop limit (http-put-response-hop-limit) has to be 2.';
