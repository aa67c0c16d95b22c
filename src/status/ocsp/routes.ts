import type { Clock } from '../../base/clock.ts';
import { WritError } from '../../base/error.ts';
import type { Reply, Route } from '../../http/route.ts';
import { MAX_OCSP_REQUEST_BYTES } from '../../x509/ocsp-request.ts';
import type { OcspAnswers, OcspReply } from './answers.ts';

/** RFC 6960 §A.1. */
const REQUEST_TYPE = 'application/ocsp-request';
const RESPONSE_TYPE = 'application/ocsp-response';

/** Characters of a question in a path, in base64: those that need more are sent by POST (RFC 5019 §5). */
const LONGEST = 2048;

/** Longest path by which an answer is remembered: that of a question about one certificate. */
const LONGEST_NAME = 256;

const NOTHING = new Uint8Array(0);

/**
 * OCSP over HTTP (RFC 6960 §A, RFC 5019 §5 and §6): POST, and GET with the question in the path. The answer to a GET may be
 * kept by whoever carries it, for as long as this process would give it again.
 */
export function ocspRoutes(answers: Pick<OcspAnswers, 'answer' | 'name' | 'named'>, clock: Clock): Route[] {
  return [
    {
      method: 'POST',
      path: '/ocsp',
      access: 'public',
      bodyLimit: MAX_OCSP_REQUEST_BYTES,
      handle({ headers, body }) {
        const type = headers['content-type']?.split(';', 1).join().trim().toLowerCase();
        if (type !== REQUEST_TYPE) {
          throw new WritError('unsupported_media_type', 'The body is not announced as an OCSP request.', {
            field: 'Content-Type',
            remedy: `Send it as ${REQUEST_TYPE}.`,
          });
        }
        const reply = answers.answer(body);
        return reply instanceof Promise ? reply.then(toPost) : toPost(reply);
      },
    },
    {
      method: 'GET',
      path: '/ocsp/{request...}',
      access: 'public',
      handle({ params: [text] }) {
        const kept = answers.named(text!);
        if (kept !== undefined) return toGet(kept, clock);
        // What cannot be decoded is malformed, as whatever else is none.
        const reply = answers.answer(requestIn(text!) ?? NOTHING);
        const named = (done: OcspReply): Reply => {
          if (text!.length <= LONGEST_NAME) answers.name(text!, done);
          return toGet(done, clock);
        };
        return reply instanceof Promise ? reply.then(named) : named(reply);
      },
    },
  ];
}

/** The question in a path: base64, of which anything may be percent-encoded. Undefined for what is not. */
export function requestIn(text: string): Uint8Array | undefined {
  let encoded = text;
  try {
    if (text.includes('%')) encoded = decodeURIComponent(text);
  } catch {
    return undefined;
  }
  if (encoded.length > LONGEST || !/^[A-Za-z0-9+/]+={0,2}$/.test(encoded)) return undefined;
  const octets = Buffer.from(encoded, 'base64');
  // Bits behind the last octet, and a character too many, are not read.
  return octets.toString('base64').replace(/=+$/, '') === encoded.replace(/=+$/, '') ? octets : undefined;
}

function toPost({ der }: OcspReply): Reply {
  return { status: 200, type: RESPONSE_TYPE, body: der };
}

/** RFC 5019 §6.2. */
function toGet({ der, keep }: OcspReply, clock: Clock): Reply {
  if (keep === undefined) return { status: 200, type: RESPONSE_TYPE, body: der };
  const { tag, freshUntil, headers } = keep;
  const seconds = Math.max(0, Math.floor((freshUntil - clock.now()) / 1000));
  return {
    status: 200,
    type: RESPONSE_TYPE,
    body: der,
    cache: `max-age=${seconds}, public, no-transform, must-revalidate`,
    etag: tag,
    headers,
  };
}
