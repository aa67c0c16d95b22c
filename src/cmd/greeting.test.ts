import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Hierarchy } from '../ca/hierarchy.ts';
import { parseTrustDomain } from '../spiffe-id/trust-domain.ts';
import { defaultConfig } from './config/config.ts';
import { dataDirectory } from './data-directory.ts';
import { greetingJson, greetingText } from './greeting.ts';

const trustDomain = parseTrustDomain('agents.example.com');
const directory = dataDirectory('/nowhere/writ-data');
const hierarchy: Hierarchy = {
  trustDomain,
  algorithm: 'ecdsa-p256',
  root: 'online',
  nameConstraints: new Uint8Array(),
  authorities: [],
  crls: [],
};

for (const [host, name, shown] of [
  ['127.0.0.1', 'writ.agents.example.com', '127.0.0.1'],
  ['0.0.0.0', 'writ.agents.example.com', 'writ.agents.example.com'],
  ['[::]', 'writ.agents.example.com', 'writ.agents.example.com'],
  ['[0:0:0:0:0:0:0:0]', '192.0.2.7', '192.0.2.7'],
  ['0.0.0.0', '2001:db8::7', '[2001:db8::7]'],
  ['[2001:db8::7]', 'writ.agents.example.com', '[2001:db8::7]'],
] as const) {
  test(`a server on ${host} named ${name} is shown as ${shown}`, () => {
    const config = { ...defaultConfig(trustDomain, '/nowhere/anchor'), names: [name, 'localhost'] };
    const listen = { api: `${host}:1443`, public: `${host}:1444`, plain: `${host}:1480` };
    const greeting = { directory, config, hierarchy, listen };
    const { api, public: open, plain } = greetingJson(greeting);
    assert.deepEqual([api, open, plain], [`https://${shown}:1443`, `https://${shown}:1444`, `http://${shown}:1480`]);
    const text = greetingText(greeting);
    for (const address of [api!, open!, plain!]) assert.ok(text.includes(address), text);
    if (host !== shown) assert.ok(!text.includes(`//${host}:`), text);
  });
}
