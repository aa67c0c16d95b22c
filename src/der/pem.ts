import { WritError } from '../base/error.ts';

/** One encapsulated value of a PEM text. */
export interface PemBlock {
  /** What stands between BEGIN and the dashes, e.g. `CERTIFICATE`. */
  readonly label: string;
  readonly der: Uint8Array;
}

/** Limit of a PEM text, in characters. */
export const MAX_PEM_CHARACTERS = 1_048_576;

const BEGIN = '-----BEGIN ';
const DASHES = '-----';

/** PEM (RFC 7468 §2): 64 characters a line, one newline at the end. */
export function encodePem(label: string, der: Uint8Array): string {
  const base64 = Buffer.from(der.buffer, der.byteOffset, der.length).toString('base64');
  let lines = '';
  for (let i = 0; i < base64.length; i += 64) lines += `${base64.slice(i, i + 64)}\n`;
  return `${BEGIN}${label}${DASHES}\n${lines}-----END ${label}${DASHES}\n`;
}

/**
 * All blocks of a PEM text, in order. Text between blocks is skipped (RFC 7468 §5.2 allows explanatory text); within a
 * block only base64 and white space may stand, with the right padding and no stray bits. No block at all is `bad_pem`.
 * Linear in the length of the text.
 */
export function decodePemBlocks(text: string): PemBlock[] {
  if (text.length > MAX_PEM_CHARACTERS) {
    throw new WritError('too_large', 'the PEM text is too long', {
      remedy: `At most ${MAX_PEM_CHARACTERS} characters are accepted.`,
    });
  }
  const blocks: PemBlock[] = [];
  for (let at = nextBegin(text, 0); at >= 0; ) {
    const labelEnd = text.indexOf(DASHES, at + BEGIN.length);
    const label = labelEnd < 0 ? '' : text.slice(at + BEGIN.length, labelEnd);
    if (!/^[A-Z0-9]+(?:[ -][A-Z0-9]+){0,7}$/.test(label)) throw badPem('a BEGIN line without a proper label', at);
    const closing = `${DASHES}END ${label}${DASHES}`;
    const bodyStart = labelEnd + DASHES.length;
    const bodyEnd = text.indexOf(DASHES, bodyStart);
    if (bodyEnd < 0 || !text.startsWith(closing, bodyEnd)) {
      throw badPem(`the ${label} block is not closed by its own END line`, at);
    }
    blocks.push({ label, der: decodeBody(text.slice(bodyStart, bodyEnd), label, bodyStart) });
    at = nextBegin(text, bodyEnd + closing.length);
  }
  if (blocks.length === 0) throw badPem('no BEGIN line', 0);
  return blocks;
}

/** The value of a text that holds exactly one block, with this label. */
export function decodePem(text: string, label: string): Uint8Array {
  const blocks = decodePemBlocks(text);
  const [block] = blocks;
  if (blocks.length !== 1 || block === undefined || block.label !== label) {
    throw new WritError('bad_pem', `not exactly one ${label} block`, {
      remedy: `Give one block that begins with ${BEGIN}${label}${DASHES}.`,
    });
  }
  return block.der;
}

/** BEGIN counts only at the start of a line. */
function nextBegin(text: string, from: number): number {
  for (let at = text.indexOf(BEGIN, from); at >= 0; at = text.indexOf(BEGIN, at + 1)) {
    if (at === 0 || text[at - 1] === '\n' || text[at - 1] === '\r') return at;
  }
  return -1;
}

function decodeBody(body: string, label: string, offset: number): Uint8Array {
  const base64 = body.replace(/[ \t\r\n]+/g, '');
  const bytes = Buffer.from(base64, 'base64');
  // Node decodes leniently; only the one right spelling encodes back to itself.
  if (base64.length === 0 || bytes.toString('base64') !== base64) {
    throw badPem(`the ${label} block does not hold proper base64`, offset);
  }
  return new Uint8Array(bytes);
}

function badPem(fault: string, offset: number): WritError {
  return new WritError('bad_pem', fault, {
    field: `offset ${offset}`,
    remedy: 'Give PEM as of RFC 7468: BEGIN line, base64, END line with the same label.',
  });
}
