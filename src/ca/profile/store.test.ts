import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isWritError } from '../../base/error.ts';
import { nameConstraintsFor, permittedNames } from '../authority/name-constraints.ts';
import { scopeOf } from '../testdata/installation.ts';
import { builtInProfiles, type Profile } from './profile.ts';
import { requireWithin } from './store.ts';

const scope = scopeOf({ dns: ['corp.example'], networks: ['10.0.0.0/8', 'fd00::/8'], loopback: true });
const constraints = nameConstraintsFor(scope);
const [, service] = builtInProfiles(permittedNames(scope)) as [Profile, Profile];

test('the built-in profiles lie within the constraints that they were made for', () => {
  for (const change of [{}, { loopback: true }, scope]) {
    const own = scopeOf(change);
    for (const profile of builtInProfiles(permittedNames(own))) requireWithin(profile, nameConstraintsFor(own));
  }
});

test('names within are allowed, names beyond or around are refused at their place', () => {
  requireWithin(
    { ...service, dns: ['a.corp.example', 'localhost'], networks: ['10.1.0.0/16', 'fd00::/8'] },
    constraints,
  );
  const table: [string, Partial<Profile>][] = [
    ['/dns/0', { dns: ['example'] }],
    ['/dns/1', { dns: ['corp.example', 'acorp.example'] }],
    ['/networks/0', { networks: ['10.0.0.0/7'] }],
    ['/networks/0', { networks: ['0.0.0.0/0'] }],
    ['/networks/1', { networks: ['10.0.0.0/8', 'fc00::/7'] }],
    ['/networks/0', { networks: ['192.168.0.0/16'] }],
  ];
  for (const [field, change] of table) {
    assert.throws(
      () => requireWithin({ ...service, ...change }, constraints),
      (error) => isWritError(error, 'bad_request') && error.field === field,
      JSON.stringify(change),
    );
  }
});

test('where no network is permitted, no profile has one', () => {
  const none = nameConstraintsFor(scopeOf());
  assert.throws(
    () => requireWithin({ ...service, dns: [], networks: ['10.0.0.0/8'] }, none),
    (error) => isWritError(error, 'bad_request'),
  );
});
