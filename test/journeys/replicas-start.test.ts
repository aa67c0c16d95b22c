/** What a second machine needs to join an installation on PostgreSQL. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { get } from 'node:https';
import { join } from 'node:path';
import { test } from 'node:test';
import { postgresMissing } from '../postgres.ts';
import type { RunningServer } from '../program.ts';
import { faultOf, type Machine, newSite } from './replica.ts';

const skip = postgresMissing() ?? false;

async function rootOf({ open }: RunningServer): Promise<string> {
  const answer = await fetchInsecurely(`${open}/v1/trust`);
  return (JSON.parse(answer) as { roots: { fingerprint: string }[] }).roots[0]!.fingerprint;
}

test('two machines that start at once on an empty database make one installation', { skip }, async () => {
  const site = await newSite();
  const machines = [site.machine(), site.machine()];
  const servers = await Promise.all(machines.map((machine) => machine.start()));
  assert.equal(await rootOf(servers[0]!), await rootOf(servers[1]!));
  const authorities = await site.query('SELECT kind, state FROM authority ORDER BY kind');
  assert.deepEqual(
    authorities.map(({ kind, state }) => `${kind} ${state}`),
    ['intermediate active', 'issuing active', 'root active'],
  );
  for (const [table, wanted] of [
    ['keyring', 1],
    ['ledger_log', 1],
    ['operator', 1],
    ['sealed_key', 6],
  ] as const) {
    assert.equal(Number((await site.query(`SELECT COUNT(*) AS n FROM ${table}`))[0]!['n']), wanted, table);
  }
  assert.equal(machines.filter(({ operator }) => existsSync(operator)).length, 1, 'one credential was handed out');
  // Each starts again without being told anything but where its passphrase is.
  for (const [n, machine] of machines.entries()) {
    await servers[n]!.stop();
    const again = await machine.start({ args: ['--passphrase-file', machine.passphrase] });
    await again.stop();
  }
  const verified = JSON.parse((await machines[1]!.cli(['ledger', 'verify', '--json'])).stdout);
  assert.deepEqual([verified.verified, verified.findings], [true, []]);
});

test('of two machines without a passphrase one makes it, the other says to bring it', { skip }, async () => {
  const site = await newSite();
  const machines = [site.machine(), site.machine()];
  const starts = await Promise.allSettled(machines.map(({ config, start }) => start({ args: ['--config', config] })));
  const [loser] = machines.filter((_, n) => starts[n]!.status === 'rejected') as [Machine];
  const winner = machines.find((machine) => machine !== loser)!;
  assert.deepEqual(starts.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  const kept = `${loser.data}-passphrase`;
  assert.ok(!existsSync(kept), 'no passphrase lies about that opens nothing');
  const fault = await faultOf(loser.start({ args: ['--config', loser.config] }));
  assert.equal(fault.message, 'The passphrase of this installation is not on this machine');
  assert.match(fault.next, /^Bring it .* owner-only/);

  writeFileSync(kept, 'surely not this one\n', { mode: 0o600 });
  const wrong = await faultOf(loser.start({ args: ['--config', loser.config] }));
  assert.equal(wrong.code, 'wrong_passphrase');
  writeFileSync(kept, readFileSync(`${winner.data}-passphrase`));
  await (await loser.start({ args: ['--config', loser.config] })).stop();
});

test('a configuration that is not that of the installation is refused', { skip }, async () => {
  const site = await newSite();
  const first = site.machine();
  const nothing = await first.cli(['init', '--config', first.config, '--join']);
  assert.deepEqual([nothing.code, /There is no installation in this database/.test(nothing.stderr)], [3, true]);
  assert.deepEqual(await site.query("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"), []);
  assert.ok(!existsSync(first.data), 'nothing was made on this machine');
  assert.equal((await first.cli(['init', '--config', first.config])).code, 0);
  const again = await first.cli(['init', '--config', first.config]);
  assert.equal(again.code, 8);
  assert.match(again.stderr, /There is an installation here already/);
  const joining = site.machine();
  assert.equal((await joining.cli(['init', '--config', joining.config, '--join'])).code, 0);

  const unvouched = ['--join', '--name', 'writ.example.org'];
  const strange = site.machine();
  const refused = await strange.cli(['init', '--config', strange.config, ...unvouched]);
  assert.equal(refused.code, 2, refused.stderr);
  assert.match(
    refused.stderr,
    /would not vouch for writ\.example\.org .*\nnext: Name the server within what was permitted/,
  );
  assert.ok(!existsSync(strange.data));

  // As if it were of an older version: what does not belong here must not bring it up to this one.
  const [newest] = await site.query('SELECT * FROM migration ORDER BY number DESC LIMIT 1');
  await site.query(`DELETE FROM migration WHERE number = ${newest!['number']}`);
  const other = site.machine({ trustDomain: 'other.example.com' });
  const fault = await faultOf(other.start());
  const { number, name, digest, applied_at } = newest as Record<string, string>;
  await site.query(`INSERT INTO migration VALUES (${number}, '${name}', '${digest}', ${applied_at})`);
  assert.deepEqual([fault.code, fault.field], ['bad_config', 'trustDomain']);
  assert.match(fault.message, /that of agents\.example\.com$/);
  assert.ok(!existsSync(join(other.data, 'config.json')), 'nothing was kept of it');

  const server = await first.start();
  await server.stop();
  const config = JSON.parse(readFileSync(first.config, 'utf8')) as object;
  writeFileSync(first.config, JSON.stringify({ ...config, retentionDays: 7 }));
  const changed = await faultOf(first.start());
  assert.match(changed.message, /a configuration of its own, in which retentionDays differs/);
});

function fetchInsecurely(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    get(url, { rejectUnauthorized: false, agent: false }, (answer) => {
      let text = '';
      answer.on('data', (chunk: Buffer) => {
        text += chunk.toString();
      });
      answer.on('end', () => resolve(text));
    }).on('error', reject);
  });
}
