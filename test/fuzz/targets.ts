import type { Target } from './target.ts';
import { ber, claims, cms, tpm } from './targets/attest.ts';
import { der, pem } from './targets/der.ts';
import { federatedBundle, jwtSvid } from './targets/federation.ts';
import { feedEvent, grpcFrame, grpcMessage, grpcTimeout, lastEventId } from './targets/feed.ts';
import {
  agentInput,
  anchorRecord,
  body,
  canonical,
  config,
  ledgerEntry,
  profileInput,
  tokenInput,
} from './targets/json.ts';
import { jwks, jws } from './targets/jwt.ts';
import { sealedKey } from './targets/keys.ts';
import { bundle, checkpoint, note, proof, tile, verifierKey } from './targets/merkle.ts';
import { ocspRequest, ocspResponse } from './targets/ocsp.ts';
import { bearer, ocspPath, pushAnswer, receiverUrl, setClaims, streamBody } from './targets/status.ts';
import {
  csrText,
  cursor,
  hosts,
  idempotencyKey,
  joinToken,
  network,
  serial,
  spiffe,
  trustDomain,
} from './targets/text.ts';
import { certificate, crl, csr, extension, name, path, publicKey } from './targets/x509.ts';

/** Every parser that takes bytes from outside. A new one is added here and gets a folder under `corpus/`. */
export const TARGETS: readonly Target[] = [
  der,
  pem,
  extension,
  name,
  publicKey,
  certificate,
  path,
  csr,
  crl,
  ocspRequest,
  ocspResponse,
  ocspPath,
  csrText,
  joinToken,
  spiffe,
  trustDomain,
  hosts,
  network,
  serial,
  cursor,
  idempotencyKey,
  body,
  agentInput,
  tokenInput,
  profileInput,
  canonical,
  ledgerEntry,
  anchorRecord,
  config,
  jws,
  jwks,
  federatedBundle,
  jwtSvid,
  setClaims,
  bearer,
  receiverUrl,
  pushAnswer,
  streamBody,
  lastEventId,
  feedEvent,
  grpcFrame,
  grpcMessage,
  grpcTimeout,
  sealedKey,
  note,
  checkpoint,
  proof,
  verifierKey,
  tile,
  bundle,
  ber,
  cms,
  tpm,
  claims,
];
