import { isWritError, WritError } from '../../base/error.ts';
import { parseCanonicalJson } from '../../merkle/canonical-json.ts';
import { parseCheckpoint } from '../../merkle/checkpoint.ts';
import { leafHash } from '../../merkle/hash.ts';
import { parseNote } from '../../merkle/note.ts';
import { NOTE_ED25519, type NoteKey, parseVerifierKey, renameKey } from '../../merkle/note-key.ts';
import { parseTlogProof, verifyTlogProof } from '../../merkle/tlog-proof.ts';
import { type Item, textOf } from '../api.ts';
import { type Command, EXIT } from '../command.ts';
import { list } from '../table.ts';
import { readInput } from '../values.ts';

/** What a receipt proved, or why it proved nothing. */
type Verdict =
  | {
      readonly verified: true;
      readonly index: number;
      readonly origin: string;
      readonly size: number;
      readonly signatures: readonly string[];
      readonly entry: Item;
    }
  | { readonly verified: false; readonly fault: string };

/** `writ ledger check-receipt`: for whoever was handed evidence. Needs no server, no credential and no installation. */
export function checkReceiptCommand(): Command {
  return {
    path: 'ledger check-receipt',
    summary: 'Verify receipts with nothing but the public keys of the ledger',
    details:
      'Proves that an entry stands in the log, word by word. Needs no server. Exit code 7 when a receipt does not verify.',
    parameters: [{ name: 'file', summary: 'receipts; - for standard input', required: true, rest: true }],
    flags: [
      {
        name: 'keys',
        value: 'file',
        summary: 'public keys of the ledger, as "writ ledger key" prints them, got by a way that you trust',
        required: true,
      },
    ],
    examples: [
      {
        line: 'writ ledger check-receipt 7.tlog-proof --keys ledger-keys',
        does: 'says what entry 7 is, and that it is',
      },
    ],
    async run(input, terminal) {
      const keys = readKeys(input.flag('keys')!);
      const items = input.rest.map((file) => ({ file, ...check(readInput(file, 'file'), keys) }));
      const failed = items.filter(({ verified }) => !verified).length;
      terminal.result({ ok: failed === 0, items }, items.map(describe).join('\n\n'));
      if (items.length > 1) terminal.say(`${items.length} receipts, ${failed} not verified.`);
      return failed === 0 ? EXIT.ok : EXIT.findings;
    },
  };
}

function readKeys(file: string): readonly NoteKey[] {
  const lines = readInput(file, '--keys').split('\n').filter(Boolean);
  try {
    if (lines.length > 0) return lines.map(parseVerifierKey);
  } catch (error) {
    if (!isWritError(error, 'bad_note')) throw error;
  }
  throw new WritError('bad_request', 'These are not the public keys of a ledger', {
    field: '--keys',
    remedy: 'Give the lines that "writ ledger key" prints.',
  });
}

function check(text: string, keys: readonly NoteKey[]): Verdict {
  try {
    const proof = parseTlogProof(text);
    if (proof.extra === undefined) return { verified: false, fault: 'the receipt does not hold its entry' };
    const { origin } = parseCheckpoint(parseNote(proof.checkpoint).text);
    const own = keys.filter(({ name }) => sameLedger(name, origin)).map((key) => renameKey(key, origin));
    const { checkpoint, signers } = verifyTlogProof(proof, leafHash(proof.extra), { origin, keys: own });
    const entry = parseCanonicalJson(proof.extra) as Item;
    const signatures = signers.map(({ type }) => (type === NOTE_ED25519 ? 'Ed25519' : 'ML-DSA-44'));
    return { verified: true, index: proof.index, origin, size: checkpoint.size, signatures, entry };
  } catch (error) {
    if (!isWritError(error)) throw error;
    return { verified: false, fault: error.message };
  }
}

/** After a lost tail a ledger goes on as another log, `…/ledger-2`, with the same keys (`docs/LEDGER.md`). */
function sameLedger(a: string, b: string): boolean {
  const base = (origin: string): string => origin.replace(/-\d{1,9}$/, '');
  return base(a) === base(b);
}

function describe({ file, ...verdict }: Verdict & { readonly file: string }): string {
  if (!verdict.verified) return `NOT VERIFIED  ${file}: ${verdict.fault}`;
  const { index, origin, size, signatures, entry } = verdict;
  const subjects = (entry['subjects'] as string[] | undefined) ?? [];
  return [
    `Verified  ${file}`,
    list([
      ['entry', `${index} of ${origin}, in a tree of ${size}`],
      ['signed with', signatures.join(' and ')],
      ['event', textOf(entry, 'type')],
      ['time', textOf(entry, 'time')],
      ['about', subjects.join(', ')],
      ['body', textOf(entry, 'body')],
    ]),
  ].join('\n');
}
