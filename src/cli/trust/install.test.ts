/** Roots in the stores of a machine of its own: the real tools where they are, on files of the test alone. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { noteGap } from '../../../test/gaps.ts';
import { certificate } from '../../../test/spiffe-conformance/certificate.ts';
import { installRoots, type Outcome, uninstallRoots } from './install.ts';
import { thisMachine } from './machine.ts';
import { type Machine, type Root, rootOf, STORES, type StoreName } from './place.ts';
import { readRecord } from './record.ts';

const scratch = mkdtempSync(join(tmpdir(), 'writ-trust-'));
after(() => rmSync(scratch, { recursive: true }));

const OTHERS = certificate({ ca: true, subject: 'Somebody else' });

/** A machine whose every store lies in a directory of its own. */
function machine(name: string, more: Partial<Machine> = {}): Machine & { readonly at: (path: string) => string } {
  const home = join(scratch, name);
  const at = (path: string): string => join(home, path);
  mkdirSync(at('anchors'), { recursive: true });
  writeFileSync(at('cacert.pem'), OTHERS.pem);
  return {
    at,
    home,
    anchors: [{ directory: at('anchors'), refresh: ['true'] }],
    keyStores: async () => (existsSync(at('cacerts')) ? [at('cacerts')] : []),
    certifi: async () => [at('cacert.pem')],
    run: thisMachine().run,
    ...more,
  };
}

const root = (): Root => rootOf(certificate({ ca: true, subject: 'Writ' }).der);
const WITHOUT_TOOLS: readonly StoreName[] = ['system', 'node', 'python'];
const states = (outcomes: readonly Outcome[]): string[] => outcomes.map(({ store, state }) => `${store} ${state}`);

/** Every file below a directory with what is in it. */
function contents(directory: string): Record<string, string> {
  const files = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(
    files.map((entry) => {
      const path = join(entry.parentPath, entry.name);
      return [path, readFileSync(path, 'latin1')];
    }),
  );
}

test('what was put in is taken out, to the octet, and nothing else is touched', async () => {
  const here = machine('exact');
  for (const before of [OTHERS.pem, OTHERS.pem.trimEnd(), '']) {
    writeFileSync(here.at('cacert.pem'), before);
    const untouched = contents(here.home);
    const [first, second] = [root(), root()];
    const put = await installRoots([first, second], { stores: WITHOUT_TOOLS, dryRun: false }, here);
    assert.deepEqual(states(put), ['system put', 'system put', 'node put', 'node put', 'python put', 'python put']);
    assert.deepEqual(readdirSync(here.at('anchors')).sort(), [`${first.name}.crt`, `${second.name}.crt`].sort());
    assert.equal(readFileSync(here.at('cacert.pem'), 'latin1').startsWith(before), true);
    const taken = await uninstallRoots({ stores: STORES, dryRun: false }, here);
    assert.deepEqual(new Set(taken.map(({ state }) => state)), new Set(['taken']));
    assert.deepEqual(contents(here.home), untouched);
  }
});

test('the tool of Debian leaves links and an entry of Java behind, and they go as well', async (context) => {
  const tool = '/usr/sbin/update-ca-certificates';
  if (!existsSync(tool) || spawnSync('keytool', ['-help']).error !== undefined) {
    noteGap('update-ca-certificates and keytool: not there');
    context.skip('no update-ca-certificates or no keytool');
    return;
  }
  const at = (path: string): string => join(scratch, 'debian', path);
  for (const directory of ['distribution', 'links', 'hooks']) mkdirSync(at(directory), { recursive: true });
  writeFileSync(at('distribution/theirs.crt'), OTHERS.pem);
  writeFileSync(at('distribution/more.crt'), certificate({ ca: true, subject: 'Somebody more' }).pem);
  writeFileSync(at('list'), 'more.crt\ntheirs.crt\n');
  // As the hook of ca-certificates-java does it.
  const keytool = `keytool -importcert -noprompt -keystore ${at('cacerts')} -storepass changeit -storetype JKS`;
  const line = `case "$one" in +*) ${keytool} -alias "debian:$(basename "$one")" -file "\${one#+}" ;; esac`;
  writeFileSync(at('hooks/java'), `#!/bin/sh\nwhile read -r one; do ${line}; done\n`, { mode: 0o755 });
  const places = ['--certsconf', at('list'), '--certsdir', at('distribution'), '--localcertsdir', at('anchors')];
  const refresh = [tool, ...places, '--etccertsdir', at('links'), '--hooksdir', at('hooks')];
  const leaves = { links: at('links'), keyStore: at('cacerts') };
  const here = machine('debian', { anchors: [{ directory: at('anchors'), refresh, leaves }] });
  execFileSync(refresh[0]!, refresh.slice(1), { stdio: 'ignore' });
  const aliases = (): string[] => {
    const list = ['-list', '-keystore', at('cacerts'), '-storepass', 'changeit'];
    const lines = execFileSync('keytool', list, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).split('\n');
    return lines.filter((one) => one.includes('trustedCertEntry')).map((one) => one.split(',')[0]!);
  };
  const [links, known] = [readdirSync(at('links')).sort(), aliases()];
  assert.deepEqual(known.sort(), ['debian:more.pem', 'debian:theirs.pem']);

  const one = root();
  const options = { stores: ['system'] as const, dryRun: false };
  assert.deepEqual(states(await installRoots([one], options, here)), ['system put']);
  assert.deepEqual(aliases().sort(), [...known, `debian:${one.name}.pem`]);
  assert.ok(readFileSync(at('links/ca-certificates.crt'), 'latin1').includes(one.pem.trimEnd()));
  assert.deepEqual(states(await uninstallRoots(options, here)), ['system taken']);
  assert.deepEqual([readdirSync(at('links')).sort(), aliases().sort()], [links, known]);
  assert.ok(!readFileSync(at('links/ca-certificates.crt'), 'latin1').includes(one.pem.trimEnd()));
});

test('a dry run changes nothing, and says what would be', async () => {
  const here = machine('dry');
  const untouched = contents(here.home);
  const would = await installRoots([root()], { stores: WITHOUT_TOOLS, dryRun: true }, here);
  assert.deepEqual(states(would), ['system put', 'node put', 'python put']);
  assert.deepEqual(contents(here.home), untouched);
  const one = root();
  await installRoots([one], { stores: WITHOUT_TOOLS, dryRun: false }, here);
  const installed = contents(here.home);
  assert.deepEqual(states(await uninstallRoots({ stores: STORES, dryRun: true }, here)), [
    'system taken',
    'node taken',
    'python taken',
  ]);
  assert.deepEqual(contents(here.home), installed);
});

test('twice is once, and what was there before stays', async () => {
  const here = machine('twice');
  const one = root();
  writeFileSync(join(here.at('anchors'), `${one.name}.crt`), one.pem);
  const first = await installRoots([one], { stores: WITHOUT_TOOLS, dryRun: false }, here);
  assert.deepEqual(states(first), ['system there', 'node put', 'python put']);
  const again = await installRoots([one], { stores: WITHOUT_TOOLS, dryRun: false }, here);
  assert.deepEqual(states(again), ['system there', 'node put', 'python put']);
  assert.equal(readFileSync(here.at('cacert.pem'), 'latin1').match(/# begin/g)?.length, 1);
  assert.deepEqual(states(await uninstallRoots({ stores: STORES, dryRun: false }, here)), [
    'node taken',
    'python taken',
  ]);
  assert.ok(existsSync(join(here.at('anchors'), `${one.name}.crt`)));
});

test('one root and some stores alone can be taken out', async () => {
  const here = machine('some');
  const [one, other] = [root(), root()];
  await installRoots([one, other], { stores: WITHOUT_TOOLS, dryRun: false }, here);
  const some = await uninstallRoots({ stores: ['python'], dryRun: false, fingerprint: one.fingerprint }, here);
  assert.deepEqual(states(some), ['python taken']);
  assert.equal(readRecord(here).length, 5);
  const node = here.at('.local/share/writ/trust/node.pem');
  await uninstallRoots({ stores: ['node'], dryRun: false, fingerprint: one.fingerprint }, here);
  assert.ok(existsSync(node) && existsSync(here.at('.config/environment.d/80-writ-trust.conf')));
  await uninstallRoots({ stores: ['node'], dryRun: false }, here);
  assert.ok(!existsSync(node) && !existsSync(here.at('.config/environment.d/80-writ-trust.conf')));
});

test('what went by itself is forgotten, and what somebody altered is not ours', async () => {
  const here = machine('altered');
  const one = root();
  await installRoots([one], { stores: WITHOUT_TOOLS, dryRun: false }, here);
  rmSync(join(here.at('anchors'), `${one.name}.crt`));
  writeFileSync(here.at('cacert.pem'), readFileSync(here.at('cacert.pem'), 'latin1').replace('# end', '# END'));
  const altered = readFileSync(here.at('cacert.pem'), 'latin1');
  assert.deepEqual(states(await uninstallRoots({ stores: STORES, dryRun: false }, here)), [
    'system gone',
    'node taken',
    'python gone',
  ]);
  assert.equal(readFileSync(here.at('cacert.pem'), 'latin1'), altered);
  assert.deepEqual(readRecord(here), []);
});

test('a store that fails keeps the others from nothing, and is on record only where something was done', async () => {
  const here = machine('failing', {
    run: async () => {
      throw Object.assign(new Error('spawn update-ca-certificates ENOENT'), {
        code: 'ENOENT',
        syscall: 'spawn x',
        path: 'x',
      });
    },
  });
  const outcomes = await installRoots([root()], { stores: WITHOUT_TOOLS, dryRun: false }, here);
  assert.deepEqual(states(outcomes), ['system failed', 'node put', 'python put']);
  assert.match(outcomes[0]!.note ?? '', /x is not there/);
  // The file lies where the tool would have found it: that is ours to take out.
  assert.deepEqual(
    readRecord(here).map(({ store }) => store),
    ['system', 'node', 'python'],
  );
});

/** Why a tool is not used here, noted as a gap. Asked for help, some say it and end with an error. */
function missing(name: string, help: string, debianPackage: string): string | false {
  if ((spawnSync(name, [help]).error as NodeJS.ErrnoException | undefined)?.code !== 'ENOENT') return false;
  const line = `${name}: not installed (Debian: apt-get install ${debianPackage})`;
  noteGap(line);
  return line;
}

test('a key store of Java, by keytool', { skip: missing('keytool', '-help', 'default-jre-headless') }, async () => {
  const here = machine('java');
  const keytool = (...args: string[]): string =>
    execFileSync('keytool', [...args, '-keystore', here.at('cacerts'), '-storepass', 'changeit'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
  writeFileSync(here.at('others.pem'), OTHERS.pem);
  keytool('-importcert', '-noprompt', '-alias', 'others', '-file', here.at('others.pem'));
  const one = root();
  assert.deepEqual(states(await installRoots([one], { stores: ['java'], dryRun: false }, here)), ['java put']);
  assert.match(keytool('-list', '-alias', one.name), /trustedCertEntry/);
  assert.deepEqual(states(await installRoots([one], { stores: ['java'], dryRun: false }, here)), ['java put']);
  assert.deepEqual(states(await uninstallRoots({ stores: STORES, dryRun: false }, here)), ['java taken']);
  assert.equal(keytool('-list').match(/trustedCertEntry/g)?.length, 1, 'that of others is there');
});

test('the data base of a browser, by certutil', { skip: missing('certutil', '-H', 'libnss3-tools') }, async () => {
  const here = machine('browser');
  for (const directory of ['.pki/nssdb', '.mozilla/firefox/abc.default']) {
    mkdirSync(here.at(directory), { recursive: true });
    execFileSync('certutil', ['-N', '-d', `sql:${here.at(directory)}`, '--empty-password']);
  }
  const one = root();
  const all = { stores: ['browser'] as const, dryRun: false };
  assert.deepEqual(states(await installRoots([one], all, here)), ['browser put', 'browser put']);
  const listed = execFileSync('certutil', ['-L', '-d', `sql:${here.at('.pki/nssdb')}`], { encoding: 'utf8' });
  assert.match(listed, new RegExp(`${one.name} +C,,`));
  assert.deepEqual(states(await uninstallRoots({ ...all, stores: STORES }, here)), ['browser taken', 'browser taken']);
  assert.ok(
    !execFileSync('certutil', ['-L', '-d', `sql:${here.at('.pki/nssdb')}`], { encoding: 'utf8' }).includes(one.name),
  );
});
