import { encodeBundle, parseBundle } from '../../../src/merkle/bundle.ts';
import { formatCheckpoint, parseCheckpoint } from '../../../src/merkle/checkpoint.ts';
import { formatNote, parseNote } from '../../../src/merkle/note.ts';
import { formatVerifierKey, parseVerifierKey } from '../../../src/merkle/note-key.ts';
import { parseTilePath, tilePath } from '../../../src/merkle/tile.ts';
import { formatTlogProof, parseTlogProof } from '../../../src/merkle/tlog-proof.ts';
import { demand, type Target } from '../target.ts';

const text = (input: Uint8Array): string => Buffer.from(input).toString('utf8');

const CODES = ['bad_note', 'too_large'] as const;
const HASH = `${'A'.repeat(43)}=\n`;

export const note: Target = {
  name: 'note',
  form: 'text',
  longest: 100_000,
  codes: CODES,
  words: ['\n', '\n\n', '\u2014 ', 'agents.test/ledger ', 'AAAAAAA=', '+', ' ', '\u00a0'],
  run: (input) => demand(formatNote(parseNote(input)) === text(input), 'a note has two spellings'),
};

export const checkpoint: Target = {
  name: 'checkpoint',
  form: 'text',
  longest: 10_000,
  codes: CODES,
  words: ['\n', '0', '9007199254740992', '-1', HASH],
  run: (input) =>
    demand(formatCheckpoint(parseCheckpoint(text(input))) === text(input), 'a checkpoint has two spellings'),
};

export const proof: Target = {
  name: 'tlog-proof',
  form: 'text',
  longest: 100_000,
  codes: CODES,
  words: ['c2sp.org/tlog-proof@v1\n', 'extra ', 'index ', '\n\n', HASH, '9007199254740992'],
  run: (input) => demand(formatTlogProof(parseTlogProof(text(input))) === text(input), 'a proof has two spellings'),
};

export const verifierKey: Target = {
  name: 'verifier-key',
  form: 'text',
  longest: 10_000,
  codes: CODES,
  words: ['+', '=', '00000000', 'agents.test/ledger'],
  run: (input) => demand(formatVerifierKey(parseVerifierKey(text(input))) === text(input), 'a key has two spellings'),
};

export const tile: Target = {
  name: 'tile-path',
  form: 'text',
  longest: 1_000,
  codes: CODES,
  words: ['tile/', 'entries/', '0/', 'x001/', '000', '.p/', '256', '255', '/'],
  run: (input) => demand(tilePath(parseTilePath(text(input))) === text(input), 'a tile has two paths'),
};

/** Input: one octet for the width, then the bundle. */
export const bundle: Target = {
  name: 'entry-bundle',
  form: 'text',
  longest: 100_000,
  codes: CODES,
  words: ['\u0000\u0000', '\u0000\u0001a'],
  run(input) {
    const rest = input.subarray(1);
    demand(Buffer.compare(encodeBundle(parseBundle(rest, input[0] ?? 0)), rest) === 0, 'a bundle has two encodings');
  },
};
