import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ATTESTOR_FLAGS, evidenceGiven } from '../../cli/attestor-flags.ts';
import { CONNECTION_FLAGS } from '../../cli/connection.ts';
import { toInput } from '../../cli/input.ts';
import { EVIDENCE_EXAMPLES } from './daemon-examples.ts';

test('there is an example for each kind of evidence, and each is taken', () => {
  const environment = { WRIT_SERVER: 'https://writ.example.com:8443', WRIT_ROOT: `sha256:${'0'.repeat(64)}` };
  const flags = [...ATTESTOR_FLAGS, ...CONNECTION_FLAGS];
  const shown = EVIDENCE_EXAMPLES.map(({ line }) => {
    assert.ok(line.startsWith('writ agent run --'));
    const words = line.split(' ').slice(3);
    const options: Record<string, string> = {};
    for (let at = 0; at < words.length; at += 2) {
      options[words[at]!.slice(2).replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase())] = words[at + 1]!;
    }
    const command = { path: 'agent run', summary: '', flags, run: async () => 0 };
    assert.ok(evidenceGiven(toInput(command, { given: [], options, environment }), undefined) !== undefined, line);
    return options['evidence']!;
  });
  assert.deepEqual([...new Set(shown)].sort(), [...flags.find(({ name }) => name === 'evidence')!.choices!].sort());
});
