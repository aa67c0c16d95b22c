/** Under a root that somebody else keeps: the commands of docs/HIERARCHY.md, run as they stand there. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { openssl, skipOf } from '../interop/tools.ts';
import { type Ended, startServer, writ } from '../program.ts';
import { failureOf, refusalOf, run, scratchDirectory } from './authority.ts';
import { clientOf, enrol, issuerOf, type Leaf, whoami } from './clients.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const skip = skipOf(openssl());

/** The blocks of commands in a section of a page. */
function blocksOf(page: string, heading: string): readonly string[] {
  const text = readFileSync(join(ROOT, page), 'utf8');
  const section = text.slice(text.indexOf(`\n## ${heading}\n`) + 1).split(/^## /m)[1]!;
  return [...section.matchAll(/^```sh\n((?:.|\n)*?)^```$/gm)].map(([, block]) => block!);
}

const [SIGNING, OWN_ROOT] = blocksOf('docs/HIERARCHY.md', 'Below a root that exists') as [string, string];

interface Place {
  readonly folder: string;
  readonly data: string;
  /** Runs lines of shell here; fails unless they succeed. */
  shell(lines: string): void;
}

/** A directory in which a shell finds this `writ`. */
function newPlace(): Place {
  const folder = scratchDirectory();
  mkdirSync(join(folder, 'bin'));
  const program = join(folder, 'bin', 'writ');
  writeFileSync(program, `#!/bin/sh\nexec '${process.execPath}' '${join(ROOT, 'src/cmd/main.ts')}' "$@"\n`);
  chmodSync(program, 0o755);
  const env: NodeJS.ProcessEnv = { ...process.env, PATH: `${join(folder, 'bin')}:${process.env['PATH']}` };
  delete env['NODE_TEST_CONTEXT'];
  return {
    ...{ folder, data: join(folder, 'writ-data') },
    shell(lines) {
      const ran = spawnSync('sh', ['-e', '-c', lines], { cwd: folder, env, encoding: 'utf8' });
      assert.equal(ran.status, 0, ran.stderr);
    },
  };
}

/** A foreign verifier that knows the root of the company and nothing else accepts the leaf. */
function stands({ folder, shell }: Place, leaf: Leaf, name: string): void {
  writeFileSync(join(folder, `${name}.pem`), leaf.certificate);
  writeFileSync(join(folder, `${name}-chain.pem`), leaf.chain.join(''));
  for (const purpose of ['sslserver', 'sslclient']) {
    shell(`openssl verify -x509_strict -purpose ${purpose} -CAfile root.pem -untrusted ${name}-chain.pem ${name}.pem`);
  }
}

test('the commands of the page put Writ under an existing root, and later renew it there', { skip }, async () => {
  const place = newPlace();
  const { folder, data, shell } = place;
  shell(OWN_ROOT);
  shell(SIGNING);
  const { server, roots, letIn, post } = await run(data);
  const root = new X509Certificate(readFileSync(join(folder, 'root.pem')));
  assert.deepEqual(
    roots.map((pem) => new X509Certificate(pem).fingerprint256),
    [root.fingerprint256],
    'that root and no other is what clients hold',
  );
  const leaf = await letIn('planner');
  stands(place, leaf, 'first');

  shell(SIGNING.replace(/^writ init .*$/m, 'writ ca request next.csr').replaceAll('intermediate.csr', 'next.csr'));
  shell('writ ca rotate');
  const { token } = await post<{ token: string }>('/v1/tokens', { agent: 'planner' });
  const stranger = clientOf(server.open, roots);
  const next = await enrol(stranger, token);
  stranger.close();
  const above = ({ chain }: Leaf): string => issuerOf({ certificate: chain[0]! });
  assert.notEqual(above(next), above(leaf));
  stands(place, next, 'next');
  for (const one of [leaf, next]) {
    const client = clientOf(server.api, roots, one, { alone: true });
    assert.equal(await whoami(client), one.id);
    client.close();
  }
  assert.equal((await server.stop()).code, 0);
  const verified = await writ(['ledger', 'verify', '--data', data]);
  assert.equal(verified.code, 0, verified.stdout);
});

test('what the root must not have signed so is refused in one sentence, and the right answer still comes in', {
  skip,
}, async () => {
  const { folder, data, shell } = newPlace();
  shell(OWN_ROOT.replace('P-256', 'P-384'));
  const [before] = SIGNING.split('writ ca import');
  shell(before!);
  const bring = (): Promise<Ended> => writ(['ca', 'import', 'chain.pem', '--data', data, '--json'], { cwd: folder });
  const refusal = async (): Promise<string> => {
    const { code, stderr } = await bring();
    assert.equal(code, 1, stderr);
    return (JSON.parse(stderr.trim().split('\n').at(-1)!) as { error: { message: string } }).error.message;
  };
  assert.match(await refusal(), /it is signed with ecdsa-p256-sha256, but the key of its issuer is ec-p384\.$/);

  const early = refusalOf(await failureOf(startServer(data)));
  assert.match(early, /^unavailable: An intermediate waits to be signed by the owner of your root/);

  const again = before!.replace(/^writ init .*$/m, '').replace('-sha256', '-sha384');
  shell(again.replace('-copy_extensions copyall', '-copy_extensions none'));
  assert.match(await refusal(), /it is no authority\.$/);
  shell(again);
  shell('cp chain.pem whole.pem; cp intermediate.pem chain.pem');
  assert.match(await refusal(), /no way|no issuer|does not validate/);
  shell('cp whole.pem chain.pem');
  const taken = await bring();
  assert.equal(taken.code, 0, taken.stderr);
  await (await run(data)).server.stop();
});
