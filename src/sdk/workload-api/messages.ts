import {
  bytes,
  type MessageType,
  map,
  message,
  nested,
  type ProtoFile,
  repeated,
  string,
  struct,
} from '../../grpc/proto.ts';

/**
 * What `proto/spiffe/workload/workload.proto` says: the SPIFFE Workload API (SPIFFE Workload API §3). Names, numbers and
 * types are the standard's; the file has no package.
 */
type Nothing = Readonly<Record<never, never>>;

/** Octets by the SPIFFE ID of a trust domain. */
export type ByTrustDomain = Readonly<Record<string, Uint8Array>>;

export interface X509Svid {
  readonly spiffe_id: string;
  /** DER, leaf first. */
  readonly x509_svid: Uint8Array;
  /** PKCS #8 DER. */
  readonly x509_svid_key: Uint8Array;
  /** DER of the roots, one behind the other. */
  readonly bundle: Uint8Array;
  readonly hint?: string;
}

export interface X509SvidResponse {
  readonly svids: readonly X509Svid[];
  readonly crl: readonly Uint8Array[];
  readonly federated_bundles: ByTrustDomain;
}

export interface X509BundlesResponse {
  readonly crl: readonly Uint8Array[];
  readonly bundles: ByTrustDomain;
}

export interface JwtSvidRequest {
  readonly audience: readonly string[];
  readonly spiffe_id: string;
}

export interface JwtSvid {
  readonly spiffe_id: string;
  readonly svid: string;
  readonly hint?: string;
}

export interface ValidateJwtSvidRequest {
  readonly audience: string;
  readonly svid: string;
}

export interface ValidateJwtSvidResponse {
  readonly spiffe_id: string;
  readonly claims: Readonly<Record<string, unknown>>;
}

const x509Svid: MessageType<X509Svid> = message<X509Svid>('X509SVID', {
  spiffe_id: string(1),
  x509_svid: bytes(2),
  x509_svid_key: bytes(3),
  bundle: bytes(4),
  hint: string(5),
});

const jwtSvid: MessageType<JwtSvid> = message<JwtSvid>('JWTSVID', {
  spiffe_id: string(1),
  svid: string(2),
  hint: string(3),
});

export const x509SvidRequest: MessageType<Nothing> = message<Nothing>('X509SVIDRequest', {});

export const x509SvidResponse: MessageType<X509SvidResponse> = message<X509SvidResponse>('X509SVIDResponse', {
  svids: repeated(nested(1, x509Svid)),
  crl: repeated(bytes(2)),
  federated_bundles: map(bytes(3)),
});

export const x509BundlesRequest: MessageType<Nothing> = message<Nothing>('X509BundlesRequest', {});

export const x509BundlesResponse: MessageType<X509BundlesResponse> = message<X509BundlesResponse>(
  'X509BundlesResponse',
  { crl: repeated(bytes(1)), bundles: map(bytes(2)) },
);

export const jwtSvidRequest: MessageType<JwtSvidRequest> = message<JwtSvidRequest>('JWTSVIDRequest', {
  audience: repeated(string(1)),
  spiffe_id: string(2),
});

export const jwtSvidResponse: MessageType<{ readonly svids: readonly JwtSvid[] }> = message('JWTSVIDResponse', {
  svids: repeated(nested(1, jwtSvid)),
});

export const jwtBundlesRequest: MessageType<Nothing> = message<Nothing>('JWTBundlesRequest', {});

export const jwtBundlesResponse: MessageType<{ readonly bundles: ByTrustDomain }> = message('JWTBundlesResponse', {
  bundles: map(bytes(1)),
});

export const validateJwtSvidRequest: MessageType<ValidateJwtSvidRequest> = message<ValidateJwtSvidRequest>(
  'ValidateJWTSVIDRequest',
  { audience: string(1), svid: string(2) },
);

export const validateJwtSvidResponse: MessageType<ValidateJwtSvidResponse> = message<ValidateJwtSvidResponse>(
  'ValidateJWTSVIDResponse',
  { spiffe_id: string(1), claims: struct(2) },
);

export const WORKLOAD_FILE: ProtoFile = {
  path: 'spiffe/workload/workload.proto',
  package: '',
  enums: [],
  messages: [
    ...[x509SvidRequest, x509SvidResponse, x509Svid, x509BundlesRequest, x509BundlesResponse],
    ...[jwtSvidRequest, jwtSvidResponse, jwtSvid, jwtBundlesRequest, jwtBundlesResponse],
    ...[validateJwtSvidRequest, validateJwtSvidResponse],
  ],
  service: {
    name: 'SpiffeWorkloadAPI',
    methods: [
      { name: 'FetchX509SVID', request: x509SvidRequest, response: x509SvidResponse, streams: 'response' },
      { name: 'FetchX509Bundles', request: x509BundlesRequest, response: x509BundlesResponse, streams: 'response' },
      { name: 'FetchJWTSVID', request: jwtSvidRequest, response: jwtSvidResponse },
      { name: 'FetchJWTBundles', request: jwtBundlesRequest, response: jwtBundlesResponse, streams: 'response' },
      { name: 'ValidateJWTSVID', request: validateJwtSvidRequest, response: validateJwtSvidResponse },
    ],
  },
};
