/** The real program on an installation that slept past the end of its issuing authority, and names that get none. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { openssl, pathOf, skipOf } from '../interop/tools.ts';
import { startServer } from '../program.ts';
import { cli } from '../server.ts';
import { agedInstallation } from './aged.ts';
import { scratchDirectory } from './authority.ts';
import { clientOf, enrol, issuerOf, rootsIn } from './clients.ts';

const OPENSSL = openssl();

test('the issuing authority expired while the server was off: there is another before the first request', async () => {
  const installation = await agedInstallation(125);
  const { path } = installation.directory;
  const server = await startServer(path);
  const operator = join(`${path}-operator`, 'operator.json');
  const as = { operator, server: server.api };
  const ask = async <T>(...argv: readonly string[]): Promise<T> => {
    const said = await cli([...argv, '--json'], as);
    assert.equal(said.code, 0, said.stderr);
    return JSON.parse(said.stdout) as T;
  };
  const { items } = await ask<{ items: { id: string; kind: string; state: string; not_after: string }[] }>(
    'ca',
    'list',
  );
  const [old, now, ...more] = items.filter(({ kind }) => kind === 'issuing');
  assert.deepEqual([old?.state, now?.state, more], ['retired', 'active', []]);
  assert.ok(Date.parse(old!.not_after) < Date.now() && Date.now() < Date.parse(now!.not_after));

  await ask('agent', 'register', 'planner', '--team', 'a', '--sponsor', 'a@example.com', '--purpose', 'plans');
  const { token } = await ask<{ token: string }>('token', 'create', 'planner');
  const roots = rootsIn(operator);
  const open = clientOf(server.api, roots);
  const leaf = await enrol(open, token);
  open.close();
  assert.ok(issuerOf(leaf).includes(now!.id));
  if (skipOf(OPENSSL) === false) {
    const file = (name: string, text: string): string => {
      writeFileSync(join(installation.scratch, name), text);
      return join(installation.scratch, name);
    };
    const chain = ['-CAfile', file('root', roots.join('')), '-untrusted', file('chain', leaf.chain.join(''))];
    execFileSync(pathOf(OPENSSL), ['verify', '-x509_strict', ...chain, file('leaf', leaf.certificate)]);
  }
  assert.equal((await server.stop()).code, 0);
  const verified = await installation.cli('ledger', 'verify');
  assert.equal(verified.code, 0, verified.stdout);
});

test('init refuses a trust domain that constraints cannot hold, and leaves nothing behind', async () => {
  const scratch = scratchDirectory();
  for (const [name, said] of [
    ['192.0.2.1', /address/],
    ['2001:db8::1', /./],
    ['[2001:db8::1]', /./],
    ['localhost', /label/],
    ['agents', /label/],
    ['Agents.Example.com', /upper-case/],
    ['my_agents.example.com', /./],
    ['*.example.com', /./],
    ['.example.com', /./],
    ['agents.example.com.', /./],
    ['agents..example.com', /./],
    ['agents.example.com:8443', /./],
    ['spiffe://agents.example.com', /./],
    ['10.0.0.256', /./],
    ['-a.example.com', /./],
    [`${'a'.repeat(64)}.example.com`, /./],
    [`${'a.'.repeat(126)}example.com`, /./],
    ['', /./],
  ] as const) {
    const data = join(scratch, 'data');
    const { code, stdout, stderr } = await cli(['init', '--data', data, '--trust-domain', name, '--json']);
    assert.deepEqual([code, stdout], [2, ''], name);
    const { error } = JSON.parse(stderr.trim().split('\n').at(-1)!) as { error: Record<string, string> };
    assert.deepEqual([error['code'], error['field']], ['bad_spiffe_id', '--trust-domain'], name);
    assert.match(error['message']!, said, name);
    assert.match(error['next']!, /./, name);
    assert.ok(!existsSync(data) && !existsSync(`${data}-passphrase`), name);
  }
});
