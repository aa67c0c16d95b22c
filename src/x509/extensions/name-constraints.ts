import { type Cursor, enter, enterSequence, fail, finish, openSequence, peekTag } from '../../der/reader.ts';
import { contextConstructed } from '../../der/tag.ts';
import { encode, sequence } from '../../der/writer.ts';
import { encodeGeneralName, type GeneralName, readGeneralName } from '../general-name.ts';

export const NAME_CONSTRAINTS = '2.5.29.30';

/**
 * RFC 5280 §4.2.1.10. Each list holds the bases of its subtrees; `ip` values are address and mask, 8 or 32 octets,
 * with the mask's ones before its zeros. An absent list is an empty one.
 */
export interface NameConstraints {
  readonly permitted: readonly GeneralName[];
  readonly excluded: readonly GeneralName[];
}

export function decodeNameConstraints(value: Uint8Array): NameConstraints {
  const fields = openSequence(value, 'nameConstraints');
  const permitted = readSubtrees(fields, contextConstructed(0), 'permittedSubtrees');
  const excluded = readSubtrees(fields, contextConstructed(1), 'excludedSubtrees');
  finish(fields);
  if (permitted.length + excluded.length === 0) fail(fields, '', 'neither permits nor excludes anything');
  return { permitted, excluded };
}

function readSubtrees(fields: Cursor, tag: number, label: string): GeneralName[] {
  if (peekTag(fields) !== tag) return [];
  const list = enter(fields, tag, label);
  const subtrees: GeneralName[] = [];
  while (list.at < list.end) {
    const subtree = enterSequence(list, 'subtree');
    const base = readGeneralName(subtree, 'base', 'subtree');
    if (base.kind === 'ip') checkMask(subtree, base.value);
    // minimum is always its default 0, which is not encoded, and maximum is absent (RFC 5280 §4.2.1.10).
    finish(subtree);
    subtrees.push(base);
  }
  if (subtrees.length === 0) fail(list, '', 'empty');
  return subtrees;
}

function checkMask(subtree: Cursor, value: Uint8Array): void {
  let ended = false;
  for (const octet of value.subarray(value.length / 2)) {
    const zeros = ~octet & 0xff;
    if ((ended && octet !== 0) || (zeros & (zeros + 1)) !== 0) fail(subtree, 'base', 'mask with zeros before ones');
    ended ||= octet !== 0xff;
  }
}

export function encodeNameConstraints({ permitted, excluded }: NameConstraints): Uint8Array {
  const subtrees = (tag: number, list: readonly GeneralName[]) =>
    list.length === 0 ? [] : [encode(tag, ...list.map((base) => sequence(encodeGeneralName(base, 'subtree'))))];
  return sequence(...subtrees(contextConstructed(0), permitted), ...subtrees(contextConstructed(1), excluded));
}
