import { orderedFacts } from '../../../src/attest/facts.ts';
import { factsOfClaims } from '../../../src/attest/verifier/oidc-facts.ts';
import {
  readTpmCertified,
  readTpmPublic,
  readTpmSignature,
  type TpmPublic,
} from '../../../src/attest/verifier/tpm-structures.ts';
import { isWritError, WritError } from '../../../src/base/error.ts';
import { derOfBer } from '../../../src/der/ber.ts';
import { sameBytes } from '../../../src/der/bytes.ts';
import { parseJsonObject } from '../../../src/wire/json.ts';
import { type Certificate, parseCertificate } from '../../../src/x509/certificate.ts';
import { openSignedData, parseSignedData } from '../../../src/x509/cms.ts';
import { readCorpus } from '../corpus.ts';
import { demand, type Target } from '../target.ts';

/** Input: one value in BER. What comes out is shorter or as long, and is its own DER. */
export const ber: Target = {
  name: 'ber',
  form: 'der',
  longest: 65_536,
  codes: ['bad_der', 'too_large'],
  run(input) {
    const der = derOfBer(input, 'input');
    demand(der.length <= input.length, 'a value grew');
    demand(sameBytes(derOfBer(der, 'input'), der), 'DER is not its own DER');
  },
};

/** Who signed the messages of the corpus, and what. */
let known: { readonly signer: Certificate; readonly contents: readonly Uint8Array[] } | undefined;

function signed(): NonNullable<typeof known> {
  if (known !== undefined) return known;
  const messages = readCorpus('cms').filter(({ file }) => file.startsWith('ok-'));
  const [plain] = messages.filter(({ file }) => file === 'ok-plain');
  const signer = parseCertificate(parseSignedData(plain!.bytes).certificates[0]!);
  const contents = messages.flatMap(({ bytes }) => {
    const opened = openSignedData(parseSignedData(bytes), [signer]);
    return opened.ok ? [opened.content] : [];
  });
  known = { signer, contents };
  return known;
}

/** Input: a signed message. Only what the corpus' key signed may come out of one as signed. */
export const cms: Target = {
  name: 'cms',
  form: 'der',
  longest: 32_768,
  codes: ['bad_der', 'bad_certificate', 'too_large'],
  run(input) {
    const data = parseSignedData(input);
    const { signer, contents } = signed();
    const opened = openSignedData(data, [signer]);
    if (!opened.ok) return;
    demand(opened.signer === signer, 'a message was opened with another certificate than was given');
    demand(
      contents.some((content) => sameBytes(content, opened.content)),
      'a content that nobody signed was accepted',
    );
  },
};

/** The key that signatures of the corpus are by. */
let signer: TpmPublic | undefined;

/** Input: a structure of a trusted platform module; read as each of those that there are. */
export const tpm: Target = {
  name: 'tpm',
  form: 'text',
  longest: 4096,
  codes: ['bad_request'],
  words: ['\u0000\u0001', '\u0000\u0023', '\u0000\u000b', '\u0000\u0010', '\u0000 ', 'TCG', '\u0080\u0017'],
  run(input) {
    let refusal: unknown;
    let taken = false;
    signer ??= readTpmPublic(readCorpus('tpm').find(({ file }) => file === 'ok-ecc-public')!.bytes);
    const by = signer;
    for (const read of [readTpmPublic, readTpmCertified, (given: Uint8Array) => readTpmSignature(given, by)]) {
      try {
        const value = read(input);
        taken = true;
        if ('name' in value) demand(value.name.length <= 68, 'a name is longer than a name can be');
        if ('spki' in value) demand(sameBytes(readTpmPublic(input).name, value.name), 'a key has two names');
      } catch (error) {
        if (!isWritError(error)) throw error;
        refusal ??= error;
      }
    }
    if (!taken) throw refusal;
  },
};

/** Input: the claims of a token whose signature is good. What they become is what the ledger takes. */
export const claims: Target = {
  name: 'token-claims',
  form: 'json',
  longest: 16_384,
  codes: ['bad_request'],
  run(input) {
    const facts = factsOfClaims(parseJsonObject(input));
    if (facts === undefined) throw new WritError('bad_request', 'a token that contradicts itself');
    try {
      orderedFacts(facts, '');
    } catch (cause) {
      throw new Error('claims became facts that the ledger does not take', { cause });
    }
  },
};
