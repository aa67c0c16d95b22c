import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { formatCheckpoint, parseCheckpoint } from './checkpoint.ts';
import { cosignatureMessage } from './cosignature.ts';
import { leafHash } from './hash.ts';
import { formatNote, noteSignature, parseNote, verifyNote } from './note.ts';
import { formatVerifierKey, type NoteKey, noteKey, parseVerifierKey, renameKey } from './note-key.ts';
import { formatTlogProof, parseTlogProof, verifyTlogProof } from './tlog-proof.ts';

const ORIGIN = 'corp.example/ledger';

interface TestKey {
  readonly key: NoteKey;
  readonly privateKey: KeyObject;
}

function testKey(type: 'ed25519' | 'ml-dsa-44', name = ORIGIN): TestKey {
  const pair = type === 'ed25519' ? generateKeyPairSync('ed25519') : generateKeyPairSync('ml-dsa-44');
  return { key: noteKey(name, pair.publicKey.export({ type: 'spki', format: 'der' })), privateKey: pair.privateKey };
}

const ed25519 = testKey('ed25519');
const mldsa = testKey('ml-dsa-44');

function signed(text: string, ...keys: TestKey[]): string {
  const signatures = keys.map(({ key, privateKey }) => {
    if (key.type === 1) return noteSignature(key, sign(null, Buffer.from(text), privateKey));
    const timestamp = 1_790_000_000n;
    const message = cosignatureMessage({ cosigner: key.name, timestamp, checkpoint: text })!;
    const stamped = Buffer.alloc(8 + 2420);
    stamped.writeBigUInt64BE(timestamp);
    stamped.set(sign(null, message, privateKey), 8);
    return noteSignature(key, stamped);
  });
  return formatNote({ text, signatures });
}

const CHECKPOINT = formatCheckpoint({ origin: ORIGIN, size: 1, root: leafHash(Buffer.from('entry')) });

describe('published notes', () => {
  it('verify: the example of C2SP signed-note', () => {
    const key = parseVerifierKey('example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k');
    const note = parseNote(
      'This is an example message.\n\n' +
        '\u2014 example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n',
    );
    assert.deepEqual(verifyNote(note, [key]), [key]);
    assert.throws(() => verifyNote({ ...note, text: 'This is another message.\n' }, [key]), { code: 'bad_note' });
  });

  it('verify: the example of golang.org/x/mod/sumdb/note', () => {
    const key = parseVerifierKey('PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW');
    const text =
      'If you think cryptography is the answer to your problem,\n' + "then you don't know what your problem is.\n";
    const note = parseNote(
      `${text}\n\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n`,
    );
    assert.deepEqual(verifyNote(note, [key]), [key]);
  });

  it('read: the cosigned checkpoint of C2SP tlog-cosignature, whose text has blank lines in it', () => {
    const whole =
      'example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n' +
      '\u2014 example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n' +
      '\u2014 witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n';
    const note = parseNote(Buffer.from(whole));
    assert.equal(note.signatures.length, 2);
    assert.equal(parseCheckpoint(note.text).size, 20852163);
    assert.equal(formatNote(note), whole);
    assert.throws(() => verifyNote(note, [ed25519.key]), { code: 'bad_note' });
  });

  it('read: the poem of C2SP signed-note, whose text has a blank line', () => {
    const text = 'Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned \u00e8 subito sera.\n';
    const whole = `${text}\n\u2014 quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n`;
    assert.equal(parseNote(whole).text, text);
  });
});

describe('notes', () => {
  it('are signed with Ed25519 and cosigned with ML-DSA-44', () => {
    const note = parseNote(signed(CHECKPOINT, ed25519, mldsa));
    assert.deepEqual(verifyNote(note, [mldsa.key, ed25519.key]), [ed25519.key, mldsa.key]);
    assert.deepEqual(verifyNote(note, [mldsa.key]), [mldsa.key]);
    const other = formatCheckpoint({ ...parseCheckpoint(CHECKPOINT), size: 2 });
    for (const key of [ed25519.key, mldsa.key]) {
      assert.throws(() => verifyNote({ ...note, text: other }, [key]), { code: 'bad_note' });
    }
  });

  it('pass over signatures of others, also under the same name, and refuse a wrong one of a known key', () => {
    const [stranger, namesake] = [testKey('ed25519', 'other.example'), testKey('ed25519')];
    const note = parseNote(signed(CHECKPOINT, stranger, namesake, ed25519));
    assert.deepEqual(verifyNote(note, [ed25519.key]), [ed25519.key]);
    const wrong = { ...note.signatures[2]!, signature: note.signatures[0]!.signature };
    const spoilt = { ...note, signatures: [...note.signatures, wrong] };
    assert.throws(() => verifyNote(spoilt, [ed25519.key]), { code: 'bad_note' });
    assert.throws(() => verifyNote(note, []), { code: 'bad_note' });
  });

  it('cosign the name: a cosignature is not that of the same key under another name', () => {
    const note = parseNote(signed(CHECKPOINT, mldsa));
    const renamed = renameKey(mldsa.key, 'other.example');
    const moved = { ...note, signatures: [{ ...note.signatures[0]!, name: renamed.name, id: renamed.id }] };
    assert.throws(() => verifyNote(moved, [renamed]), { code: 'bad_note' });
  });

  const good = signed(CHECKPOINT, ed25519);
  const line = good.slice(good.indexOf('\u2014'));
  const refused: [name: string, note: string | Uint8Array][] = [
    ['nothing', ''],
    ['no signature', `${CHECKPOINT}\n`],
    ['no blank line', `${CHECKPOINT}${line}`],
    ['no line feed at the end', good.slice(0, -1)],
    ['something behind it', `${good}x`],
    ['a carriage return', good.replace('\n', '\r\n')],
    ['a tab', good.replace(ORIGIN, `${ORIGIN}\t`)],
    ['a zero octet', `\0${good}`],
    ['a hyphen for the dash', good.replace('\u2014', '-')],
    ['two spaces', good.replace('\u2014 ', '\u2014  ')],
    ['an empty name', `${CHECKPOINT}\n\u2014  AAAAAAAA\n`],
    ['a name with a plus', `${CHECKPOINT}\n\u2014 a+b AAAAAAAA\n`],
    ['a signature without octets', `${CHECKPOINT}\n\u2014 a AAAAAA==\n`],
    ['base64 without padding', good.replace(/=*\n$/, '\n')],
    ['base64 with bits to spare', `${CHECKPOINT}\n\u2014 a AAAAAAB=\n`],
    ['octets that are not UTF-8', Buffer.concat([Buffer.of(0xff), Buffer.from(good)])],
  ];
  for (const [name, note] of refused) {
    it(`are refused with ${name}`, () => {
      assert.throws(() => parseNote(note), { code: 'bad_note' });
    });
  }

  it('are refused when too large', () => {
    assert.throws(() => parseNote(CHECKPOINT + '\n' + line.repeat(33)), { code: 'too_large' });
    assert.throws(() => parseNote('x'.repeat(300_000)), { code: 'too_large' });
  });
});

describe('verifier keys', () => {
  it('come back as they were', () => {
    for (const { key } of [ed25519, mldsa]) {
      assert.deepEqual(parseVerifierKey(formatVerifierKey(key)), { ...key, publicKey: Buffer.from(key.publicKey) });
    }
  });

  it('are refused when anything is changed', () => {
    const text = formatVerifierKey(ed25519.key);
    for (let at = 0; at < text.length; at++) {
      const changed = `${text.slice(0, at)}${text[at] === 'b' ? 'c' : 'b'}${text.slice(at + 1)}`;
      assert.throws(() => parseVerifierKey(changed), { code: 'bad_note' }, `at ${at}`);
    }
    for (const bad of ['', '+', 'a+b', 'a+00000000+', `${text}+x`, `${text} `, text.slice(0, -1), ` ${text}`]) {
      assert.throws(() => parseVerifierKey(bad), { code: 'bad_note' }, bad);
    }
  });

  it('are refused for other kinds of keys and unfit names', () => {
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    assert.throws(() => noteKey(ORIGIN, publicKey.export({ type: 'spki', format: 'der' })), { code: 'bad_note' });
    for (const name of ['', 'a b', 'a+b', 'a\u2003b', 'a\n']) {
      assert.throws(() => renameKey(ed25519.key, name), { code: 'bad_note' }, JSON.stringify(name));
    }
  });
});

describe('checkpoints', () => {
  const root = `${'A'.repeat(43)}=`;
  const refused = [
    [
      '',
      'a\n1\n',
      `a\n1\n${root}`,
      `a\n1\n${root}\n\n`,
      `a\n1\n${root}\nextension\n`,
      `\n1\n${root}\n`,
      `a\n01\n${root}\n`,
    ],
    [
      `a\n-1\n${root}\n`,
      `a\n1.0\n${root}\n`,
      `a\n9007199254740992\n${root}\n`,
      `a\n\n${root}\n`,
      `a\n1\n${root.slice(4)}\n`,
    ],
    [`a\n1\n${'A'.repeat(44)}\n`, `a\n1\n${'A'.repeat(42)}B=\n`, `a\n1 \n${root}\n`],
  ].flat();
  for (const text of refused) {
    it(`are refused as ${JSON.stringify(text.replaceAll('A', ''))}`, () => {
      assert.throws(() => parseCheckpoint(text), { code: 'bad_note' });
    });
  }

  it('come back as they were', () => {
    const hash = fc.uint8Array({ minLength: 32, maxLength: 32 });
    fc.assert(
      fc.property(fc.maxSafeNat(), hash, (size, root) => {
        const text = formatCheckpoint({ origin: ORIGIN, size, root });
        const read = parseCheckpoint(text);
        assert.deepEqual([read.origin, read.size, [...read.root]], [ORIGIN, size, [...root]]);
      }),
    );
  });

  it('are cosigned in the bytes of the specification', () => {
    const message = cosignatureMessage({ cosigner: 'w.example', timestamp: 0x0102n, checkpoint: `a\n770\n${root}\n` });
    const hex = [
      '737562747265652f76310a00',
      `09${Buffer.from('w.example').toString('hex')}`,
      '0000000000000102',
      '0161',
      '0000000000000000',
      '0000000000000302',
      '00'.repeat(32),
    ];
    assert.equal(Buffer.from(message!).toString('hex'), hex.join(''));
    const long = { cosigner: 'x'.repeat(256), timestamp: 1n, checkpoint: `a\n770\n${root}\n` };
    assert.equal(cosignatureMessage(long), undefined);
    assert.equal(cosignatureMessage({ ...long, cosigner: 'x', timestamp: 1n << 63n }), undefined);
    assert.equal(cosignatureMessage({ ...long, cosigner: 'x', checkpoint: 'a' }), undefined);
  });
});

describe('tlog proofs', () => {
  const checkpoint = signed(CHECKPOINT, ed25519, mldsa);
  const log = { origin: ORIGIN, keys: [ed25519.key, mldsa.key] };
  const entry = Buffer.from('entry');

  it('verify with the keys of the log, and not otherwise', () => {
    const proof = parseTlogProof(formatTlogProof({ index: 0, hashes: [], checkpoint, extra: entry }));
    assert.deepEqual(proof.extra, entry);
    assert.equal(verifyTlogProof(proof, leafHash(entry), log).signers.length, 2);
    assert.throws(() => verifyTlogProof(proof, leafHash(Buffer.from('other')), log), { code: 'bad_note' });
    assert.throws(() => verifyTlogProof({ ...proof, index: 1 }, leafHash(entry), log), { code: 'bad_note' });
    const strangers = { ...log, keys: [testKey('ed25519').key] };
    assert.throws(() => verifyTlogProof(proof, leafHash(entry), strangers), { code: 'bad_note' });
  });

  it('read as the example of C2SP tlog-proof', () => {
    const text = [
      'c2sp.org/tlog-proof@v1',
      'extra YWdlLXYxLjIuMS1kYXJ3aW4tYXJtNjQudGFyLmd6',
      'index 73894',
      'gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=',
      'B95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=',
      '',
      checkpoint,
    ].join('\n');
    const proof = parseTlogProof(text);
    assert.equal(proof.index, 73894);
    assert.equal(proof.hashes.length, 2);
    assert.equal(formatTlogProof(proof), text);
  });

  const good = formatTlogProof({ index: 7, hashes: [leafHash(entry)], checkpoint, extra: entry });
  const refused: [name: string, text: string][] = [
    ['nothing', ''],
    ['another header', good.replace('@v1', '@v2')],
    ['no index', good.replace(/index 7\n/, '')],
    ['a padded index', good.replace('index 7', 'index 07')],
    ['an index beyond 2^53', good.replace('index 7', 'index 9007199254740993')],
    ['extra that is not base64', good.replace(/extra .*/, 'extra *')],
    ['a hash that is short', good.replace(/(index 7\n).{4}/, '$1')],
    ['65 hashes', formatTlogProof({ index: 7, hashes: Array(65).fill(leafHash(entry)), checkpoint })],
    ['no checkpoint', good.slice(0, good.indexOf('\n\n'))],
  ];
  for (const [name, text] of refused) {
    it(`are refused with ${name}`, () => {
      assert.throws(() => parseTlogProof(text), { code: 'bad_note' });
    });
  }
});
