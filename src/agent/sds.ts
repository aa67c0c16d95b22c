import { WritError } from '../base/error.ts';
import { encodePem } from '../der/pem.ts';
import { openCodecs } from '../grpc/codec.ts';
import { methodPath } from '../grpc/proto.ts';
import { type Answers, bidirectional, type ServerMethod, unary } from '../grpc/server-method.ts';
import type { Child } from './child.ts';
import { failureOf } from './failure.ts';
import type { CallerProcess } from './process-table.ts';
import {
  type DiscoveryRequest,
  type DiscoveryResponse,
  discoveryRequest,
  discoveryResponse,
  SDS_FILE,
  type Secret,
  secret,
  spiffeValidator,
} from './sds-messages.ts';
import { type FollowParts, follow } from './stream.ts';
import type { Trust } from './trust.ts';

export interface SdsParts extends FollowParts {
  readonly trust: Trust;
  /** Told why Envoy did not take what it was given. */
  readonly refused: (why: string) => void;
}

const SECRET_TYPE = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret';
const VALIDATOR_TYPE = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig';
/** Names that are known without knowing an id. */
const [DEFAULT, ROOTS, ALL] = ['default', 'ROOTCA', 'ALL'];
const MOST_NAMES = 1000;

/**
 * Envoy's secret discovery service, version 3, for proxies that share the daemon's machine: as good as the Workload API, so
 * the same callers, entries and changes. A proxy names what it wants:
 *
 * - a certificate with key: `default`, a SPIFFE ID, one without its last segment (every instance has another), or a hint;
 * - what others are judged by: `ROOTCA` or the SPIFFE ID of a trust domain, or `ALL`, each domain by its own roots.
 */
export function sdsMethods(parts: SdsParts): readonly ServerMethod<CallerProcess>[] {
  const codecs = openCodecs(SDS_FILE);
  const [secrets, validators] = [codecs.of(secret), codecs.of(spiffeValidator)];
  const pack = (one: Secret) => ({ type_url: SECRET_TYPE, value: secrets.encode(one) });
  const encodeValidator = (domains: readonly string[]): Uint8Array =>
    validators.encode({
      trust_domains: domains.flatMap((name) => {
        const bundle = parts.trust.of(name);
        return bundle === undefined ? [] : [{ name, trust_bundle: { inline_bytes: pemOf(bundle.x509) } }];
      }),
    });
  const resources = (children: readonly Child[], names: readonly string[]): DiscoveryResponse['resources'] =>
    secretsOf(parts, children, { names, encodeValidator }).map(pack);
  return [
    bidirectional<CallerProcess, DiscoveryRequest, DiscoveryResponse>({
      path: methodPath(SDS_FILE, 'StreamSecrets'),
      request: codecs.of(discoveryRequest),
      response: codecs.of(discoveryResponse),
      handle: (requests, answers) => streamSecrets(requests, answers, { ...parts, resources }),
    }),
    unary<CallerProcess, DiscoveryRequest, DiscoveryResponse>({
      path: methodPath(SDS_FILE, 'FetchSecrets'),
      request: codecs.of(discoveryRequest),
      response: codecs.of(discoveryResponse),
      async handle(asked, { connection }) {
        checkRequest(asked);
        const found = await parts.workloads.identities(connection, true);
        if (!found.ok) throw failureOf(found.why);
        const made = resources(found.children, asked.resource_names);
        return { version_info: '1', resources: made, type_url: SECRET_TYPE, nonce: '' };
      },
    }),
  ];
}

async function streamSecrets(
  requests: AsyncIterable<DiscoveryRequest>,
  answers: Answers<CallerProcess, DiscoveryResponse>,
  parts: SdsParts & {
    readonly resources: (children: readonly Child[], names: readonly string[]) => DiscoveryResponse['resources'];
  },
): Promise<void> {
  let names: readonly string[] | undefined;
  let version = 0;
  let refused = 0;
  let sent = '';
  let again: (() => void) | undefined;
  const take = (children: readonly Child[]): void => {
    const made = parts.resources(children, names ?? []);
    const state = made.map(({ value }) => Buffer.from(value).toString('base64')).join(' ');
    if (state === sent) return;
    sent = state;
    version += 1;
    answers.send({
      ...{ version_info: String(version), resources: made, type_url: SECRET_TYPE, nonce: String(version) },
    });
  };
  const call = {
    connection: answers.connection,
    signal: answers.signal,
    waiting: () => answers.waiting(),
    end: (status?: Parameters<typeof answers.end>[0]) => answers.end(status),
  };
  for await (const asked of requests) {
    checkRequest(asked);
    // About an answer that has been overtaken (xDS protocol, "ACK and NACK semantics").
    if (asked.response_nonce !== '' && asked.response_nonce !== String(version)) continue;
    // Once for each answer: what is said goes into the daemon's log.
    if (asked.error_detail !== undefined && refused < version) {
      refused = version;
      parts.refused(asked.error_detail.message);
    }
    const before = names;
    names = asked.resource_names;
    if (again === undefined) again = await follow(call, parts, take);
    else if (JSON.stringify(before) !== JSON.stringify(names)) {
      // Who asks for other names is answered, also where it has got them before.
      sent = '';
      again();
    }
  }
}

function checkRequest({ type_url, resource_names }: DiscoveryRequest): void {
  if (type_url !== '' && type_url !== SECRET_TYPE) {
    throw new WritError('bad_request', 'Secrets alone are given here.', { field: 'type_url' });
  }
  if (resource_names.length > MOST_NAMES) {
    throw new WritError('too_large', 'Too many names are asked for.', { field: 'resource_names' });
  }
}

/** What a caller may have of what it names; all of it where it names nothing. What it may not have is left out. */
function secretsOf(
  { trust }: SdsParts,
  children: readonly Child[],
  {
    names,
    encodeValidator,
  }: { readonly names: readonly string[]; readonly encodeValidator: (domains: readonly string[]) => Uint8Array },
): readonly Secret[] {
  const domains = [...new Set([trust.trustDomain, ...children.flatMap(({ entry }) => entry.federates_with)])];
  const wanted =
    names.length > 0 ? [...new Set(names)] : [...children.map(({ spiffeId }) => spiffeId), ...domains.map(idOfDomain)];
  return wanted.flatMap((name): Secret[] => {
    const domain = name === ROOTS ? trust.trustDomain : domains.find((one) => idOfDomain(one) === name);
    if (domain !== undefined) {
      const bundle = trust.of(domain);
      return bundle === undefined
        ? []
        : [{ name, validation_context: { trusted_ca: { inline_bytes: pemOf(bundle.x509) } } }];
    }
    if (name === ALL) {
      const typed_config = { type_url: VALIDATOR_TYPE, value: encodeValidator(domains) };
      const custom_validator_config = { name: 'envoy.tls.cert_validator.spiffe', typed_config };
      return [{ name, validation_context: { custom_validator_config } }];
    }
    const child = name === DEFAULT ? children[0] : children.find((one) => isCalled(one, name));
    if (child === undefined) return [];
    const { key, certificate, chain } = child.credential;
    return [
      {
        name,
        tls_certificate: {
          certificate_chain: { inline_bytes: Buffer.from([certificate, ...chain].join('')) },
          private_key: { inline_bytes: Buffer.from(key.export({ type: 'pkcs8', format: 'pem' }) as string) },
        },
      },
    ];
  });
}

function isCalled({ spiffeId, entry }: Child, name: string): boolean {
  return name === spiffeId || name === entry.hint || name === spiffeId.slice(0, spiffeId.lastIndexOf('/'));
}

function idOfDomain(name: string): string {
  return `spiffe://${name}`;
}

/** PEM of DER certificates that stand one behind the other. */
function pemOf(der: Uint8Array): Uint8Array {
  const texts: string[] = [];
  for (let at = 0; at < der.length; ) {
    const length = lengthOf(der, at);
    texts.push(encodePem('CERTIFICATE', der.subarray(at, at + length)));
    at += length;
  }
  return Buffer.from(texts.join(''));
}

/** Octets of a certificate: its outer SEQUENCE has a length of two octets, or more. */
function lengthOf(der: Uint8Array, at: number): number {
  const first = der[at + 1]!;
  if (first < 0x80) return 2 + first;
  let length = 0;
  for (let n = 0; n < (first & 0x7f); n++) length = length * 256 + der[at + 2 + n]!;
  return 2 + (first & 0x7f) + length;
}
