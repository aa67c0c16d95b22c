import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { AGENT_CONTEXT, encodeAgentContext } from './extensions/agent-context.ts';
import { encodeSubjectAltName, SUBJECT_ALT_NAME } from './extensions/subject-alt-name.ts';
import { encodeSubjectKeyIdentifier, SUBJECT_KEY_IDENTIFIER } from './extensions/subject-key-identifier.ts';
import type { GeneralName } from './general-name.ts';
import { encodeLeafTbs, leafTemplate } from './leaf-template.ts';
import { encodeName } from './name.ts';
import { encodeTbsCertificate } from './tbs-certificate.ts';
import { leafFields, NOW, testChain } from './testdata/authority.ts';
import { testKey } from './testdata/keys.ts';

const { issuing } = testChain('ecdsa-p256-sha256');
const VARIABLE = [SUBJECT_KEY_IDENTIFIER, SUBJECT_ALT_NAME, AGENT_CONTEXT];
const shared = leafFields(testKey('ed25519'), issuing).extensions.filter(({ oid }) => !VARIABLE.includes(oid));
const names = fc.array(
  fc.oneof(
    fc.webUrl().map((value): GeneralName => ({ kind: 'uri', value: encodeURI(value) })),
    fc.domain().map((value): GeneralName => ({ kind: 'dns', value })),
    fc.uint8Array({ minLength: 4, maxLength: 4 }).map((value): GeneralName => ({ kind: 'ip', value })),
  ),
  { minLength: 1, maxLength: 20 },
);
const context = fc.record({ workflow: fc.constant('close-books'), scopes: fc.constant(['a', 'b']) });

test('a template makes the same octets as the plain encoder', () => {
  const leaf = fc.record(
    {
      serial: fc.uint8Array({ minLength: 1, maxLength: 20 }).filter(([first]) => first! > 0 && first! < 0x80),
      notBefore: fc.nat(1e9).map((s) => NOW + s * 1000),
      notAfter: fc.nat(1e9).map((s) => NOW + s * 1000),
      spki: fc.constantFrom(testKey('ed25519').spki, testKey('ml-dsa-87').spki),
      keyIdentifier: fc.uint8Array({ minLength: 20, maxLength: 20 }),
      names,
      context,
    },
    { requiredKeys: ['serial', 'notBefore', 'notAfter', 'spki', 'keyIdentifier', 'names'] },
  );
  const base = { algorithm: issuing.signatureAlgorithm, issuer: issuing.subject.raw };
  fc.assert(
    fc.property(leaf, fc.boolean(), (fields, withShared) => {
      const extensions = withShared ? shared : [];
      const plain = encodeTbsCertificate({
        ...base,
        ...fields,
        subject: encodeName([]),
        extensions: [
          ...extensions,
          { oid: SUBJECT_KEY_IDENTIFIER, critical: false, value: encodeSubjectKeyIdentifier(fields.keyIdentifier) },
          { oid: SUBJECT_ALT_NAME, critical: true, value: encodeSubjectAltName(fields.names) },
          ...(fields.context
            ? [{ oid: AGENT_CONTEXT, critical: false, value: encodeAgentContext(fields.context) }]
            : []),
        ],
      });
      assert.deepEqual(encodeLeafTbs(leafTemplate({ ...base, extensions }), fields), plain);
    }),
  );
});
