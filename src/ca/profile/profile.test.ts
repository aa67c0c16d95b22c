import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isWritError } from '../../base/error.ts';
import { builtInProfiles, longestLifetime, type Profile, parseProfile } from './profile.ts';

const permitted = { dns: ['agents.example.com', 'localhost'], networks: ['127.0.0.0/8', '::1/128'] };
const [agent] = builtInProfiles(permitted) as [Profile, ...Profile[]];

test('the built-in profiles read back as they are', () => {
  const profiles = builtInProfiles(permitted);
  assert.deepEqual(
    profiles.map(({ name }) => name),
    ['agent', 'service', 'operator', 'server'],
  );
  for (const profile of profiles) assert.deepEqual(parseProfile(JSON.parse(JSON.stringify(profile))), profile);
});

test('an agent lives an hour unless told otherwise, five minutes to a day, and has no names but its id', () => {
  assert.deepEqual(agent.lifetime, { default: 3600, least: 300, most: 86_400 });
  assert.deepEqual([agent.dns, agent.networks], [[], []]);
  assert.equal(longestLifetime(builtInProfiles(permitted)), 30 * 86_400);
  assert.equal(longestLifetime([]), 0);
});

test('every deviation is refused at its place, with what would be right', () => {
  const table: [string, unknown][] = [
    ['', null],
    ['', []],
    ['', { ...agent, extra: 1 }],
    ['/name', { ...agent, name: 'Agent' }],
    ['/name', { ...agent, name: 1 }],
    ['/name', { ...agent, name: 'issuing' }],
    ['/subjects', { ...agent, subjects: [] }],
    ['/subjects/0', { ...agent, subjects: ['root'] }],
    ['/keys', { ...agent, keys: [] }],
    ['/keys', { ...agent, keys: 'rsa' }],
    ['/keys', { ...agent, keys: ['rsa', 'rsa'] }],
    ['/keys/1', { ...agent, keys: ['rsa', 'dsa'] }],
    ['/lifetime', { ...agent, lifetime: 3600 }],
    ['/lifetime', { ...agent, lifetime: { ...agent.lifetime, longest: 1 } }],
    ['/lifetime/most', { ...agent, lifetime: { default: 3600, least: 300 } }],
    ['/lifetime/least', { ...agent, lifetime: { ...agent.lifetime, least: 299 } }],
    ['/lifetime/least', { ...agent, subjects: ['service'], lifetime: { ...agent.lifetime, least: 59 } }],
    ['/lifetime/most', { ...agent, lifetime: { ...agent.lifetime, most: 86_401 } }],
    ['/lifetime/most', { ...agent, subjects: ['service', 'agent'], lifetime: { ...agent.lifetime, most: 86_401 } }],
    ['/lifetime/least', { ...agent, lifetime: { ...agent.lifetime, least: '300' } }],
    ['/lifetime/default', { ...agent, lifetime: { ...agent.lifetime, default: 299 } }],
    ['/lifetime/most', { ...agent, lifetime: { ...agent.lifetime, most: 3599 } }],
    ['/lifetime/most', { ...agent, subjects: ['service'], lifetime: { ...agent.lifetime, most: 367 * 86_400 } }],
    ['/lifetime/default', { ...agent, lifetime: { ...agent.lifetime, default: 3600.5 } }],
    ['/dns/0', { ...agent, dns: ['*.example.com'] }],
    ['/dns/0', { ...agent, dns: ['Example.com'] }],
    ['/dns/0', { ...agent, dns: [''] }],
    ['/dns', { ...agent, dns: Array.from({ length: 101 }, (_, n) => `d${n}`) }],
    ['/networks/1', { ...agent, networks: ['10.0.0.0/8', '10.1.0.0/8'] }],
    ['/context', { ...agent, context: 'yes' }],
    ['/context', { ...agent, context: undefined }],
    ['/revocation', { ...agent, revocation: 'never' }],
    ['/lifetime/default', { ...agent, revocation: 'ephemeral' }],
    ['/lifetime/most', { ...agent, revocation: 'ephemeral', lifetime: { default: 300, least: 60, most: 301 } }],
  ];
  for (const [field, value] of table) {
    assert.throws(
      () => parseProfile(value),
      (error) => isWritError(error, 'bad_request') && error.field === field && error.remedy !== undefined,
      `${field}: ${JSON.stringify(value)}`,
    );
  }
});
