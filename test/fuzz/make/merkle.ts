import { generateKeyPairSync, sign } from 'node:crypto';
import { encodeBundle } from '../../../src/merkle/bundle.ts';
import { formatCheckpoint } from '../../../src/merkle/checkpoint.ts';
import { formatNote, noteSignature } from '../../../src/merkle/note.ts';
import { formatVerifierKey, noteKey } from '../../../src/merkle/note-key.ts';
import { formatTlogProof } from '../../../src/merkle/tlog-proof.ts';
import type { Files } from './files.ts';

const hash = (fill: number): Uint8Array => new Uint8Array(32).fill(fill);

export function log(): Record<string, Files> {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const key = noteKey('agents.test/ledger', new Uint8Array(publicKey.export({ type: 'spki', format: 'der' })));
  const postQuantum = generateKeyPairSync('ml-dsa-44').publicKey.export({ type: 'spki', format: 'der' });
  const checkpoint = formatCheckpoint({ origin: 'agents.test/ledger', size: 1234, root: hash(7) });
  const signature = noteSignature(key, sign(null, Buffer.from(checkpoint), privateKey));
  const note = formatNote({ text: checkpoint, signatures: [signature] });
  const proof = { index: 3, hashes: [hash(1), hash(2), hash(3)], checkpoint: note };
  const entries = encodeBundle([Buffer.from('{"a":1}'), Buffer.alloc(0), Buffer.from('{"b":2}')]);
  return {
    note: {
      'ok-one': note,
      'ok-two': formatNote({ text: checkpoint, signatures: [signature, signature] }),
      'refused-unsigned': checkpoint,
    },
    checkpoint: {
      'ok-plain': checkpoint,
      'ok-empty-tree': formatCheckpoint({ origin: 'a', size: 0, root: hash(0) }),
      'refused-extension': `${checkpoint}more\n`,
    },
    'tlog-proof': {
      'ok-plain': formatTlogProof(proof),
      'ok-extra': formatTlogProof({ ...proof, extra: Buffer.from('{"a":1}') }),
      'refused-no-index': formatTlogProof(proof).replace('index 3\n', ''),
    },
    'verifier-key': {
      'ok-ed25519': formatVerifierKey(key),
      'ok-ml-dsa': formatVerifierKey(noteKey('agents.test/ledger', new Uint8Array(postQuantum))),
      'refused-id': formatVerifierKey(key).replace(/\+[0-9a-f]{8}\+/, '+00000000+'),
    },
    'tile-path': {
      'ok-full': 'tile/0/x001/x234/067',
      'ok-partial': 'tile/entries/000.p/7',
      'refused-padding': 'tile/0/x000/001',
    },
    'entry-bundle': {
      'ok-three': Buffer.concat([Buffer.of(3), entries]),
      'refused-width': Buffer.concat([Buffer.of(2), entries]),
    },
  };
}
