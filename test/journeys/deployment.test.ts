/** docs/DEPLOYMENT.md: its commands, run as they stand there on other paths, and the unit that it installs. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, copyFileSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { get } from 'node:https';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, test } from 'node:test';
import pg from 'pg';
import { commandTable } from '../../src/cmd/commands.ts';
import { missingProgram } from '../gaps.ts';
import { postgresMissing, startPostgres } from '../postgres.ts';
import { type RunningServer, startServer } from '../program.ts';
import { failureOf, scratchDirectory } from './authority.ts';
import { clientOf, enrol, operatorClient, rootsIn, whoami } from './clients.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const UNIT = readFileSync(join(ROOT, 'deploy/writ.service'), 'utf8');

/** The blocks in one language below a heading of the page. */
function blocksOf(heading: string, language: string): readonly string[] {
  const text = readFileSync(join(ROOT, 'docs/DEPLOYMENT.md'), 'utf8');
  const section = text.slice(text.indexOf(`\n## ${heading}\n`) + 1).split(/^## /m)[1]!;
  return [...section.matchAll(new RegExp(`^\`\`\`${language}\n((?:.|\n)*?)^\`\`\``, 'gm'))].map(([, block]) => block!);
}

/** What the unit says under a key; an empty value is none. */
function unit(key: string): readonly string[] {
  return [...UNIT.matchAll(new RegExp(`^${key}=(.*)$`, 'gm'))].map(([, value]) => value!).filter(Boolean);
}

/** Another user than the one who administers, where this process may act as one who can read the program. */
function serviceUser(): { readonly name: string; readonly group: string } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const as = ['-u', 'nobody', '--', process.execPath, join(ROOT, 'bin/writ.js'), '--version'];
  if (spawnSync('runuser', as).status !== 0) return undefined;
  return { name: 'nobody', group: execFileSync('id', ['-gn', 'nobody'], { encoding: 'utf8' }).trim() };
}

const user = serviceUser();

interface Machine {
  readonly at: (path: string) => string;
  readonly data: string;
  /** Runs commands of the page; what they do to a system is done to this machine. */
  run(block: string): Promise<void>;
  /** The service while it runs. */
  server(): RunningServer;
}

/** A machine whose `/etc`, `/srv` and `/var` are in a throw-away directory. */
function newMachine(): Machine {
  const scratch = scratchDirectory();
  chmodSync(scratch, 0o711);
  for (const folder of ['bin', 'etc', 'var/lib', 'srv/backup', 'root'])
    mkdirSync(join(scratch, folder), { recursive: true });
  const program = join(scratch, 'bin/writ');
  writeFileSync(program, `#!/bin/sh\nexec '${process.execPath}' '${join(ROOT, 'bin/writ.js')}' "$@"\n`);
  chmodSync(program, 0o755);
  const path = `${join(scratch, 'bin')}:/usr/sbin:${process.env['PATH']}`;
  const env: NodeJS.ProcessEnv = { ...process.env, PATH: path };
  delete env['NODE_TEST_CONTEXT'];
  let running: RunningServer | undefined;
  after(() => running?.kill());

  const at = (place: string): string => join(scratch, place);
  const adapt = (text: string): string =>
    text
      .replaceAll(/\/(?=etc\/writ|var\/lib\/writ|srv\/)/g, `${scratch}/`)
      .replaceAll('0.0.0.0:8443', '127.0.0.1:0')
      .replaceAll(/0\.0\.0\.0:84\d\d/g, '127.0.0.1:0')
      .replaceAll('https://writ.agents.example.com:8443', running?.api ?? '')
      .replaceAll('-u writ -- writ', user === undefined ? '' : `-u ${user.name} -- ${program}`)
      .replaceAll(/runuser (?!-u)/g, `${program} `)
      .replaceAll('-o writ -g writ', user === undefined ? '' : `-o ${user.name} -g ${user.group}`)
      .replaceAll('chown -R writ:', user === undefined ? 'true' : `chown -R ${user.name}:`);
  const shell = (lines: string): void => {
    const ran = spawnSync('bash', ['-e', '-c', adapt(lines)], { cwd: at('root'), env, encoding: 'utf8' });
    assert.equal(ran.status, 0, `${lines}\n${ran.stderr}`);
  };
  /** What systemd does for the unit. */
  const start = async (): Promise<void> => {
    const [, , ...given] = unit('ExecStart')[0]!.split(' ');
    const data = adapt(given[given.indexOf('--data') + 1] ?? '');
    const [name, file] = unit('LoadCredential')[0]!.split(':') as [string, string];
    const credentials = at('credentials');
    mkdirSync(credentials, { recursive: true });
    copyFileSync(adapt(file), join(credentials, name));
    if (user !== undefined) execFileSync('chown', ['-R', user.name, credentials]);
    const under =
      user === undefined ? [] : ['setpriv', `--reuid=${user.name}`, `--regid=${user.group}`, '--clear-groups'];
    running = await startServer(data, {
      args: given.filter((_, n) => n !== given.indexOf('--data') && n !== given.indexOf('--data') + 1),
      environment: { CREDENTIALS_DIRECTORY: credentials, NODE_COMPILE_CACHE: undefined },
      cwd: adapt(unit('WorkingDirectory')[0]!),
      under,
    });
  };
  const stop = async (): Promise<void> => {
    assert.equal((await running?.stop())?.code ?? 0, 0);
  };
  return {
    ...{ at, data: at('var/lib/writ/writ-data') },
    server: () => running!,
    async run(block) {
      // The parts between what is said to systemd, and what that does.
      for (const part of block.split(/^(?=systemctl)|(?<=^systemctl .*\n)/m)) {
        if (/^systemctl (stop|restart)/.test(part)) await stop();
        if (/^systemctl (start|restart|enable --now)/.test(part)) await start();
        if (part.startsWith('systemctl')) continue;
        shell(part.replaceAll(/^(?:ln -s|useradd|install -m 0644 \/opt).*\n/gm, ''));
      }
    },
  };
}

const [SET_UP] = blocksOf('On one machine', 'sh') as [string];

test('the unit is sound, and says what the page and the program say', (context) => {
  const [program, command, dataFlag, data, ...rest] = unit('ExecStart')[0]!.split(' ');
  const [name, file] = unit('LoadCredential')[0]!.split(':') as [string, string];
  assert.deepEqual([program, command, dataFlag], ['/opt/writ/bin/writ.js', 'start', '--data']);
  assert.deepEqual(rest, ['--passphrase-credential', name]);
  assert.equal(statSync(join(ROOT, 'bin/writ.js')).mode & 0o111, 0o111);
  const flags = commandTable()
    .find(({ path }) => path === 'start')!
    .flags!.map((flag) => `--${flag.name}`);
  assert.ok(rest.filter((word) => word.startsWith('--')).every((flag) => flags.includes(flag)));
  assert.ok(SET_UP.includes(`> ${file}`) && SET_UP.includes(`--data ${data}`));
  assert.equal(`/var/lib/${unit('StateDirectory')[0]}/writ-data`, data);
  for (const [key, value] of [
    ['NoNewPrivileges', 'yes'],
    ['ProtectSystem', 'strict'],
    ['LimitCORE', '0'],
    ['StateDirectoryMode', '0700'],
  ] as const) {
    assert.deepEqual(unit(key), [value], key);
  }
  assert.match(UNIT, /^CapabilityBoundingSet=$/m);
  assert.ok(unit('ReadWritePaths')[0]!.endsWith('/srv/writ-anchor') && SET_UP.includes('--anchor /srv/writ-anchor'));

  if (missingProgram('systemd-analyze', ['--version'], 'systemd') !== undefined)
    return context.diagnostic('no systemd here');
  const place = join(scratchDirectory(), 'writ.service');
  writeFileSync(place, UNIT.replaceAll('/opt/writ/', `${ROOT}/`));
  const { status, stderr } = spawnSync('systemd-analyze', ['verify', place], { encoding: 'utf8' });
  const own = stderr.split('\n').filter((line) => line.includes('writ.service'));
  assert.deepEqual([status, own], [0, []]);
});

test('one machine: set up, administered beside the server, backed up, restored', async () => {
  const machine = newMachine();
  const { at, run, data } = machine;
  await run(SET_UP);
  const roots = rootsIn(`${data}-operator/operator.json`);
  const [administer, removal, passphrase] = blocksOf('Administering it', 'sh') as [string, string, string];
  await run(administer);
  await run(removal);
  const gone = operatorClient(`${data}-operator/operator.json`, machine.server().api);
  assert.equal((await failureOf(whoami(gone))).code, 'revoked');
  gone.close();

  // The files that root's commands left do not stop the server: it issues and revokes.
  const act = async (): Promise<{ token: string; revoke(serial: string): Promise<unknown>; close(): void }> => {
    const ada = operatorClient(at('root/ada.json'), machine.server().api);
    const body = { name: 'planner', owner: { team: 'a', sponsor: 'a@example.com' }, purpose: 'plans' };
    await ada.json({ method: 'POST', path: '/v1/agents', body }).catch(() => undefined);
    const tokens = { method: 'POST', path: '/v1/tokens', body: { agent: 'planner', uses: 9 } } as const;
    const revocation = (serial: string): Promise<unknown> =>
      ada.json({ method: 'POST', path: `/v1/certificates/${serial}/revoke`, body: { cause: 'key_theft' } });
    return { ...(await ada.json<{ token: string }>(tokens)), revoke: revocation, close: () => ada.close() };
  };
  const first = await act();
  const open = clientOf(machine.server().api, roots);
  const [one, two] = [await enrol(open, first.token), await enrol(open, first.token)];
  open.close();
  await first.revoke(one.serial);
  first.close();
  await run(passphrase);

  const [backUp, restore] = blocksOf('Backups', 'sh') as [string, string];
  await run(backUp.replace('--operator ada.json', `--operator ada.json --server ${machine.server().api}`));
  const again = operatorClient(at('root/ada.json'), machine.server().api);
  await again.json({ method: 'POST', path: `/v1/certificates/${two.serial}/revoke`, body: { cause: 'key_theft' } });
  again.close();
  await run(restore);
  for (const leaf of [one, two]) {
    const client = clientOf(machine.server().api, roots, leaf);
    assert.equal((await failureOf(whoami(client))).code, 'revoked', 'also what the backup did not know');
    client.close();
  }

  const [scraper] = blocksOf('Monitoring', 'sh') as [string];
  await run(missingProgram('jq') === undefined ? scraper : scraper.replaceAll(/^jq .*\n/gm, ''));
  const rule = blocksOf('Monitoring', 'cedar')[0]!;
  writeFileSync(at('root/rule'), rule);
  await run(`writ policy show --operator ada.json --server ${machine.server().api} > rules.cedar
cat rule >> rules.cedar
writ policy publish rules.cedar --data /var/lib/writ/writ-data --passphrase-file /etc/writ/passphrase\n`);
  const prometheus = operatorClient(at('root/prometheus.json'), machine.server().api);
  const metrics = (await prometheus.send({ path: '/metrics' })).body.toString('utf8');
  for (const [, name] of blocksOfMetrics()) assert.match(metrics, new RegExp(`^# TYPE ${name} `, 'm'));
  const asked = { method: 'POST', path: '/v1/tokens', body: { agent: 'planner' } } as const;
  assert.equal((await failureOf(prometheus.json(asked))).code, 'denied');
  prometheus.close();
  await machine.server().stop();
});

/** The metrics that the page names. */
function blocksOfMetrics(): RegExpMatchArray[] {
  const text = readFileSync(join(ROOT, 'docs/DEPLOYMENT.md'), 'utf8');
  return [...text.matchAll(/`((?:writ|process)_[a-z_]+)`/g)];
}

test('PostgreSQL: a role that owns its database and no more, and a second machine', {
  skip: postgresMissing() ?? false,
}, async () => {
  // The user of the service cannot reach the socket of a cluster of tests.
  const cluster = await startPostgres({ tcp: true });
  const client = new pg.Client(cluster.address);
  await client.connect();
  after(() => client.end());
  // The cluster's own superuser is called writ.
  const role = 'writ_service';
  for (const statement of blocksOf('PostgreSQL', 'sql')[0]!.split(';\n').filter(Boolean)) {
    await client.query(statement.replaceAll(/\bwrit\b/g, role));
  }
  const [joined] = blocksOf('A second machine', 'sh') as [string];
  const machines = [newMachine(), newMachine()];
  const fingerprints = new Set<string>();
  for (const [n, machine] of machines.entries()) {
    const setUp = SET_UP.split('runuser')[0]!;
    await machine.run(setUp);
    if (n > 0) copyFileSync(machines[0]!.at('etc/writ/passphrase'), machine.at('etc/writ/passphrase'));
    const config = JSON.parse(blocksOf('PostgreSQL', 'json')[0]!) as Record<string, object>;
    const reached = { host: '127.0.0.1', port: cluster.port, database: role, user: role };
    const database = { ...config['database'], ...reached };
    const listen = { api: '127.0.0.1:0', public: '127.0.0.1:0', plain: '127.0.0.1:0' };
    const own = { ...config, listen, names: ['127.0.0.1'], anchor: machine.at('srv/writ-anchor'), database };
    writeFileSync(machine.at('etc/writ/writ.json'), JSON.stringify(own));
    await machine.run(n === 0 ? blocksOf('PostgreSQL', 'sh')[0]! : joined);
    await machine.run('systemctl enable --now writ\n');
    const said = await fetchTrust(machine);
    fingerprints.add(said);
  }
  assert.equal(fingerprints.size, 1);
  await Promise.all(machines.map((machine) => machine.server().stop()));
});

/** What a machine says the root is, to an operator of the first. */
async function fetchTrust(machine: Machine): Promise<string> {
  const asked = get(`${machine.server().open}/v1/trust`, { rejectUnauthorized: false });
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  return (JSON.parse(await text(answer)) as { roots: { fingerprint: string }[] }).roots[0]!.fingerprint;
}
