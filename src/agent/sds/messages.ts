import {
  bytes,
  type MessageType,
  map,
  message,
  nested,
  oneof,
  type ProtoFile,
  repeated,
  string,
} from '../../grpc/proto.ts';

/**
 * What of Envoy's secret discovery service is used (`envoy.service.secret.v3`, `envoy.extensions.transport_sockets.tls.v3`).
 * Numbers are Envoy's; fields that nothing is done with are left out, and skipped where they come.
 */

/** `google.protobuf.Any`. */
export interface Packed {
  readonly type_url: string;
  readonly value: Uint8Array;
}

export interface DiscoveryRequest {
  readonly version_info: string;
  readonly resource_names: readonly string[];
  readonly type_url: string;
  readonly response_nonce: string;
  /** Why the last answer was not taken. */
  readonly error_detail?: { readonly message: string };
}

export interface DiscoveryResponse {
  readonly version_info: string;
  readonly resources: readonly Packed[];
  readonly type_url: string;
  readonly nonce: string;
}

/** What is asked for, and what not any more, since the last request; also the answer to an answer. */
export interface DeltaRequest {
  readonly type_url: string;
  readonly resource_names_subscribe: readonly string[];
  readonly resource_names_unsubscribe: readonly string[];
  /** In the first request of a stream: what is known from before, by name. */
  readonly initial_resource_versions: Readonly<Record<string, string>>;
  /** Of the answer that this one is to; empty: to none. */
  readonly response_nonce: string;
  /** Why that answer was not taken. */
  readonly error_detail?: { readonly message: string };
}

interface DeltaResource {
  readonly version: string;
  readonly resource: Packed;
  readonly name: string;
}

/** What is another one now, and what there is not any more. */
export interface DeltaResponse {
  readonly system_version_info: string;
  readonly resources: readonly DeltaResource[];
  readonly type_url: string;
  readonly nonce: string;
  readonly removed_resources: readonly string[];
}

interface DataSource {
  readonly inline_bytes: Uint8Array;
}

export interface Secret {
  readonly name: string;
  readonly tls_certificate?: { readonly certificate_chain: DataSource; readonly private_key: DataSource };
  readonly validation_context?: {
    readonly trusted_ca?: DataSource;
    readonly custom_validator_config?: { readonly name: string; readonly typed_config: Packed };
  };
}

export interface SpiffeValidator {
  readonly trust_domains: readonly { readonly name: string; readonly trust_bundle: DataSource }[];
}

const packed: MessageType<Packed> = message<Packed>('Any', { type_url: string(1), value: bytes(2) });
const fault: MessageType<{ readonly message: string }> = message('Status', { message: string(2) });
const source: MessageType<DataSource> = message<DataSource>('DataSource', {
  inline_bytes: oneof('specifier', bytes(2)),
});

export const discoveryRequest: MessageType<DiscoveryRequest> = message<DiscoveryRequest>('DiscoveryRequest', {
  version_info: string(1),
  resource_names: repeated(string(3)),
  type_url: string(4),
  response_nonce: string(5),
  error_detail: nested(6, fault),
});

export const discoveryResponse: MessageType<DiscoveryResponse> = message<DiscoveryResponse>('DiscoveryResponse', {
  version_info: string(1),
  resources: repeated(nested(2, packed)),
  type_url: string(4),
  nonce: string(5),
});

export const deltaRequest: MessageType<DeltaRequest> = message<DeltaRequest>('DeltaDiscoveryRequest', {
  type_url: string(2),
  resource_names_subscribe: repeated(string(3)),
  resource_names_unsubscribe: repeated(string(4)),
  initial_resource_versions: map(string(5)),
  response_nonce: string(6),
  error_detail: nested(7, fault),
});

const deltaResource: MessageType<DeltaResource> = message<DeltaResource>('Resource', {
  version: string(1),
  resource: nested(2, packed),
  name: string(3),
});

export const deltaResponse: MessageType<DeltaResponse> = message<DeltaResponse>('DeltaDiscoveryResponse', {
  system_version_info: string(1),
  resources: repeated(nested(2, deltaResource)),
  type_url: string(4),
  nonce: string(5),
  removed_resources: repeated(string(6)),
});

type TlsCertificate = NonNullable<Secret['tls_certificate']>;
type ValidationContext = NonNullable<Secret['validation_context']>;
type Extension = NonNullable<ValidationContext['custom_validator_config']>;
type TrustDomain = SpiffeValidator['trust_domains'][number];

const tlsCertificate: MessageType<TlsCertificate> = message<TlsCertificate>('TlsCertificate', {
  certificate_chain: nested(1, source),
  private_key: nested(2, source),
});
const extension: MessageType<Extension> = message<Extension>('TypedExtensionConfig', {
  name: string(1),
  typed_config: nested(2, packed),
});
const validationContext: MessageType<ValidationContext> = message<ValidationContext>('CertificateValidationContext', {
  trusted_ca: nested(1, source),
  custom_validator_config: nested(12, extension),
});
const trustDomain: MessageType<TrustDomain> = message<TrustDomain>('TrustDomain', {
  name: string(1),
  trust_bundle: nested(2, source),
});

export const secret: MessageType<Secret> = message<Secret>('Secret', {
  name: string(1),
  tls_certificate: oneof('type', nested(2, tlsCertificate)),
  validation_context: oneof('type', nested(4, validationContext)),
});

export const spiffeValidator: MessageType<SpiffeValidator> = message<SpiffeValidator>('SPIFFECertValidatorConfig', {
  trust_domains: repeated(nested(1, trustDomain)),
});

export const SDS_FILE: ProtoFile = {
  path: 'envoy/service/secret/v3/sds.proto',
  package: 'envoy.service.secret.v3',
  enums: [],
  messages: [
    ...[packed, fault, source, discoveryRequest, discoveryResponse, tlsCertificate, extension, validationContext],
    ...[trustDomain, secret, spiffeValidator, deltaRequest, deltaResource, deltaResponse],
  ],
  service: {
    name: 'SecretDiscoveryService',
    methods: [
      { name: 'DeltaSecrets', request: deltaRequest, response: deltaResponse, streams: 'both' },
      { name: 'StreamSecrets', request: discoveryRequest, response: discoveryResponse, streams: 'both' },
      { name: 'FetchSecrets', request: discoveryRequest, response: discoveryResponse },
    ],
  },
};
