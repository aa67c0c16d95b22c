import { WritError } from '../../base/error.ts';
import type { FeedAck, FeedAcks, FeedPoints, PointAcks } from '../../wire/feed.ts';
import { MOST_BEHIND, POINT, POINT_BEHIND } from '../../wire/feed-points.ts';
import { type FeedTimeQuestion, MOST_NONCES, NONCE } from '../../wire/feed-statement.ts';

const MOST = 256;

/** What a follower acknowledges. Throws `bad_request`, as the server would. */
export function parseAcks(body: Uint8Array): FeedAcks {
  const { point, log, acks, behind } = membersOf(jsonOf(body), '', ['point', 'log', 'acks', 'behind']);
  return {
    point: textOf(point, '/point', POINT),
    log: countOf(log, '/log'),
    acks: acksOf(acks, '/acks'),
    ...(behind === undefined
      ? {}
      : { behind: listOf(behind, '/behind', MOST).map((one, i) => pointAcksOf(one, `/behind/${i}`)) }),
  };
}

/** Who reads from a follower that is a relay itself. Throws `bad_request`. */
export function parsePoints(body: Uint8Array): FeedPoints {
  const { point, behind } = membersOf(jsonOf(body), '', ['point', 'behind']);
  const names = listOf(behind, '/behind', MOST_BEHIND);
  return {
    point: textOf(point, '/point', POINT),
    behind: names.map((name, i) => textOf(name, `/behind/${i}`, POINT_BEHIND)),
  };
}

/** A question for the time. Throws `bad_request`. */
export function parseTimeQuestion(body: Uint8Array): FeedTimeQuestion {
  const { nonces } = membersOf(jsonOf(body), '', ['nonces']);
  const all = listOf(nonces, '/nonces', MOST_NONCES);
  if (all.length === 0) throw bad('/nonces');
  return { nonces: all.map((one, i) => textOf(one, `/nonces/${i}`, NONCE)) };
}

function pointAcksOf(value: unknown, field: string): PointAcks {
  const { point, acks } = membersOf(value, field, ['point', 'acks']);
  return { point: textOf(point, `${field}/point`, POINT_BEHIND), acks: acksOf(acks, `${field}/acks`) };
}

function acksOf(value: unknown, field: string): FeedAck[] {
  return listOf(value, field, MOST).map((one, i) => {
    const at = `${field}/${i}`;
    const { position, accepted_before, accepted_after } = membersOf(one, at, [
      'position',
      'accepted_before',
      'accepted_after',
    ]);
    return {
      position: countOf(position, `${at}/position`),
      ...(accepted_before === undefined ? {} : { accepted_before: countOf(accepted_before, at) }),
      ...(accepted_after === undefined ? {} : { accepted_after: countOf(accepted_after, at) }),
    };
  });
}

function jsonOf(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body).toString('utf8'));
  } catch {
    throw bad('');
  }
}

function membersOf(value: unknown, field: string, names: readonly string[]): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw bad(field);
  for (const name of Object.keys(value)) if (!names.includes(name)) throw bad(field);
  return value as Record<string, unknown>;
}

function listOf(value: unknown, field: string, most: number): readonly unknown[] {
  if (!Array.isArray(value) || value.length > most) throw bad(field);
  return value;
}

function textOf(value: unknown, field: string, form: RegExp): string {
  if (typeof value !== 'string' || !form.test(value)) throw bad(field);
  return value;
}

function countOf(value: unknown, field: string): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw bad(field);
  return value as number;
}

function bad(field: string): WritError {
  return new WritError('bad_request', 'The body does not have the documented shape.', {
    field,
    remedy: 'Send what docs/FEED.md says of this route.',
  });
}
