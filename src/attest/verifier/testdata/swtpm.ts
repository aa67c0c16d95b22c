/**
 * A trusted platform module in software (`swtpm`), with endorsement certificates of its own manufacturer, as Debian's
 * packages make them, driven by `tpm2-tools`.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { noteGap } from '../../../../test/gaps.ts';
import { encodePem } from '../../../der/pem.ts';

const missing = (['swtpm', 'swtpm_setup', 'swtpm_localca', 'certtool', 'tpm2'] as const).filter(
  (command) => spawnSync('which', [command]).status !== 0,
);

/** Why tests with the module are skipped, or false when it is there. */
export const noSwtpm: string | false = missing.length === 0 ? false : `${missing.join(', ')}: not installed`;

if (noSwtpm !== false) {
  noteGap(`trusted platform modules: ${noSwtpm} (Debian: apt-get install swtpm swtpm-tools tpm2-tools gnutls-bin)`);
}

export interface Swtpm extends AsyncDisposable {
  /** PEM of the manufacturer's root, and of the authority below it. */
  readonly root: string;
  readonly issuing: string;
  /** Where it listens. */
  readonly socket: string;
  /** Runs a command of tpm2-tools, e.g. `createak`, in a directory of its own. Gives what it wrote. */
  run(command: string, ...args: string[]): string;
  /** A file that a command wrote, or writes. */
  read(file: string): Buffer;
  write(file: string, content: Uint8Array): void;
  /** PEM of the certificate of an endorsement key: RSA at 0x1c00002, P-384 at 0x1c00016. */
  certificate(index: string): string;
  /** TPM2_ActivateCredential with the endorsement key at a handle. Throws where the module refuses. */
  activate(endorsement: string, attestation: string, blob: Uint8Array, secret: Uint8Array): Buffer;
  /** TPM2_Certify, which tpm2-tools cannot give qualifying data: TPMS_ATTEST and TPMT_SIGNATURE. */
  certify(handles: { object: number; key: number }, qualifyingData: Uint8Array): Promise<[Buffer, Buffer]>;
}

/** Where swtpm_setup keeps the RSA endorsement key. */
const RSA_KEY = '0x81010001';

export async function swtpm(): Promise<Swtpm> {
  const home = mkdtempSync(join(tmpdir(), 'writ-tpm-'));
  const [state, ca, work, socket] = ['state', 'ca', 'work', 'socket'].map((name) => join(home, name)) as [
    string,
    string,
    string,
    string,
  ];
  for (const directory of [state, ca, work]) mkdirSync(directory);
  const settings = (file: string, lines: Record<string, string>): string => {
    const path = join(home, file);
    writeFileSync(path, Object.entries(lines).map(([name, value]) => `${name} = ${value}\n`).join(''));
    return path;
  };
  const localca = settings('localca.conf', {
    statedir: ca,
    signingkey: join(ca, 'key.pem'),
    issuercert: join(ca, 'issuing.pem'),
    certserial: join(ca, 'serial'),
  });
  const setup = settings('setup.conf', {
    create_certs_tool: execFileSync('which', ['swtpm_localca']).toString().trim(),
    create_certs_tool_config: localca,
    create_certs_tool_options: '/dev/null',
  });
  execFileSync('swtpm_setup', ['--tpm2', '--tpmstate', state, '--createek', '--create-ek-cert', '--config', setup], {
    stdio: 'pipe',
  });
  const places = ['--server', `type=unixio,path=${socket}`, '--ctrl', `type=unixio,path=${socket}.ctrl`];
  const module = spawn(
    'swtpm',
    ['socket', '--tpm2', '--tpmstate', `dir=${state}`, ...places, '--flags', 'not-need-init,startup-clear'],
    { stdio: 'ignore' },
  );
  const ended = once(module, 'exit');
  while (!existsSync(socket) || !existsSync(`${socket}.ctrl`)) await pause(10);

  const run = (command: string, ...args: string[]): string => {
    const env = { ...process.env, TPM2TOOLS_TCTI: `swtpm:path=${socket}` };
    const text = execFileSync('tpm2', [command, ...args], { cwd: work, env, stdio: 'pipe' }).toString();
    // There is nobody here who swaps out what commands leave in the module.
    if (command !== 'flushcontext') execFileSync('tpm2', ['flushcontext', '-t'], { cwd: work, env, stdio: 'pipe' });
    return text;
  };
  const read = (file: string): Buffer => readFileSync(join(work, file));
  const write = (file: string, content: Uint8Array): void => writeFileSync(join(work, file), content);
  return {
    root: readFileSync(join(ca, 'swtpm-localca-rootca-cert.pem'), 'utf8'),
    issuing: readFileSync(join(ca, 'issuing.pem'), 'utf8'),
    socket,
    run,
    read,
    write,
    certificate(index) {
      run('nvread', '-C', 'o', index, '-o', 'certificate');
      return encodePem('CERTIFICATE', read('certificate'));
    },
    activate(endorsement, attestation, blob, secret) {
      // What tpm2_makecredential writes: a number, a version, and both structures.
      write('credential', Buffer.concat([Buffer.from('badcc0de00000001', 'hex'), blob, secret]));
      const args = ['activatecredential', '-c', attestation, '-C', endorsement, '-i', 'credential', '-o', 'secret'] as const;
      // Keys of the older templates are used by policy, those of the newer ones by an empty password, too.
      if (endorsement !== RSA_KEY) {
        run(...args);
        return read('secret');
      }
      run('startauthsession', '--policy-session', '-S', 'session');
      try {
        run('policysecret', '-S', 'session', '-c', 'e');
        run(...args, '-P', 'session:session');
        return read('secret');
      } finally {
        run('flushcontext', '-l');
        run('flushcontext', '-s');
      }
    },
    async certify({ object, key }, qualifyingData) {
      // Two sessions by password, both empty (Part 1 §19.4); the key's own scheme.
      const session = Buffer.from('40000009000000 0000'.replace(' ', ''), 'hex');
      const handles = Buffer.alloc(8);
      handles.writeUInt32BE(object);
      handles.writeUInt32BE(key, 4);
      const size = Buffer.alloc(4);
      size.writeUInt32BE(2 * session.length);
      const data = Buffer.concat([Buffer.of(0, qualifyingData.length), qualifyingData, Buffer.of(0, 0x10)]);
      const body = Buffer.concat([handles, size, session, session, data]);
      const head = Buffer.from('80020000000000000148', 'hex');
      head.writeUInt32BE(head.length + body.length, 2);
      const answer = await exchange(socket, Buffer.concat([head, body]));
      if (answer.readUInt32BE(6) !== 0) throw new Error(`TPM2_Certify: 0x${answer.readUInt32BE(6).toString(16)}`);
      const parameters = answer.subarray(14, 14 + answer.readUInt32BE(10));
      const attested = 2 + parameters.readUInt16BE(0);
      return [parameters.subarray(2, attested), parameters.subarray(attested)];
    },
    async [Symbol.asyncDispose]() {
      module.kill();
      await ended;
      rmSync(home, { recursive: true, force: true });
    },
  };
}

/** One command to the module itself. */
async function exchange(path: string, command: Uint8Array): Promise<Buffer> {
  const connection = createConnection(path);
  connection.end(command);
  const chunks: Buffer[] = [];
  for await (const chunk of connection) {
    chunks.push(chunk as Buffer);
    const so = Buffer.concat(chunks);
    if (so.length >= 10 && so.length >= so.readUInt32BE(2)) break;
  }
  connection.destroy();
  return Buffer.concat(chunks);
}
