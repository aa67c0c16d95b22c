import { once } from 'node:events';
import { open, stat } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { WritError } from '../../base/error.ts';

/*
 * The commands of a trusted platform module that attestation takes (TCG TPM 2.0 Library, Part 3: Commands), written to the
 * module itself: no library is needed, and none is loaded.
 */

/** One command, and its answer. */
export type TpmTransport = (command: Uint8Array) => Promise<Buffer>;

const LARGEST = 4096;

/** The module behind a device (`/dev/tpmrm0`) or a Unix socket (`swtpm`). Each command opens it anew. */
export async function openTpm(path: string): Promise<TpmTransport> {
  const found = await stat(path).catch((cause: Error) => {
    throw noModule(path, cause);
  });
  const send = found.isSocket() ? throughSocket : throughDevice;
  return (command) =>
    send(path, command).catch((cause: Error) => {
      throw noModule(path, cause);
    });
}

function noModule(path: string, cause: Error): WritError {
  const code = (cause as NodeJS.ErrnoException).code ?? 'unknown';
  return new WritError('bad_config', `There is no trusted platform module to speak to at this path: ${code}.`, {
    field: 'device',
    remedy: `Check that ${path} is there, and that this user may use it (group tss).`,
    cause,
  });
}

async function throughDevice(path: string, command: Uint8Array): Promise<Buffer> {
  const device = await open(path, 'r+');
  try {
    await device.write(command);
    const { buffer, bytesRead } = await device.read(Buffer.alloc(LARGEST), 0, LARGEST);
    return buffer.subarray(0, bytesRead);
  } finally {
    await device.close();
  }
}

async function throughSocket(path: string, command: Uint8Array): Promise<Buffer> {
  const connection = createConnection(path);
  connection.end(command);
  let answer = Buffer.alloc(0);
  for await (const chunk of connection) {
    answer = Buffer.concat([answer, chunk as Buffer]);
    if (answer.length >= 10 && answer.length >= answer.readUInt32BE(2)) break;
  }
  if (!connection.destroyed) {
    connection.destroy();
    await once(connection, 'close');
  }
  return answer;
}

const ENDORSEMENT_HIERARCHY = 0x4000_000b;
const NULL_HANDLE = 0x4000_0007;
const NO_SESSIONS = 0x8001;
const SESSIONS = 0x8002;

/** An empty password (Part 1 §19.4). */
const PASSWORD = Buffer.from('400000090000000000', 'hex');

export function word(value: number): Buffer {
  return Buffer.of((value >> 8) & 0xff, value & 0xff);
}

function long(value: number): Buffer {
  const octets = Buffer.alloc(4);
  octets.writeUInt32BE(value >>> 0);
  return octets;
}

/** A TPM2B. */
export function sized(octets: Uint8Array): Buffer {
  return Buffer.concat([word(octets.length), octets]);
}

/** The TPM2B at `at`, with its length. */
function sizedAt(octets: Buffer, at = 0): Buffer {
  return octets.subarray(at, at + 2 + octets.readUInt16BE(at));
}

/** TPM_RC_YIELDED, TPM_RC_TESTING, TPM_RC_RETRY (Part 2 §6.6.3): not now, and nothing was done. */
const BUSY: ReadonlySet<number> = new Set([0x908, 0x90a, 0x922]);
const MOST_TRIES = 20;

function resultOf(answer: Buffer): number {
  return answer.length < 10 ? -1 : answer.readUInt32BE(6);
}

function isBusy(answer: Buffer): boolean {
  return BUSY.has(resultOf(answer));
}

/** The commands, each by its name in Part 3. They throw `signer_failed` with the module's code where it refuses. */
export class Tpm {
  readonly #send: TpmTransport;

  constructor(send: TpmTransport) {
    this.#send = send;
  }

  /** TPM2_CreatePrimary (§24.1) with an empty password: the same key each time for the same template. */
  async createPrimary(template: Uint8Array): Promise<{ readonly handle: number; readonly area: Buffer }> {
    const parameters = [sized(Buffer.alloc(4)), sized(template), word(0), long(0)];
    const { handle, rest } = await this.#call(0x131, [ENDORSEMENT_HIERARCHY], [PASSWORD], parameters, true);
    return { handle, area: sizedAt(rest) };
  }

  /** TPM2_NV_ReadPublic and TPM2_NV_Read (§31.6, §31.13); undefined where nothing is there. */
  async readNv(index: number): Promise<Buffer | undefined> {
    let length: number;
    try {
      const { rest } = await this.#call(0x169, [index], [], []);
      const area = sizedAt(rest);
      length = area.readUInt16BE(area.length - 2);
    } catch {
      return undefined;
    }
    const chunks: Buffer[] = [];
    for (let at = 0; at < length; at += 512) {
      const part = [word(Math.min(512, length - at)), word(at)];
      const { rest } = await this.#call(0x14e, [index, index], [PASSWORD], part);
      chunks.push(sizedAt(rest).subarray(2));
    }
    return Buffer.concat(chunks);
  }

  /** TPM2_ActivateCredential (§12.5). `byPolicy`: the endorsement key wants PolicySecret of its hierarchy, no password. */
  async activateCredential(
    keys: { readonly attestation: number; readonly endorsement: number; readonly byPolicy: boolean },
    credentialBlob: Uint8Array,
    encryptedSecret: Uint8Array,
  ): Promise<Buffer> {
    const activate = async (authorisation: Buffer): Promise<Buffer> => {
      const handles = [keys.attestation, keys.endorsement];
      const parameters = [Buffer.from(credentialBlob), Buffer.from(encryptedSecret)];
      const { rest } = await this.#call(0x147, handles, [PASSWORD, authorisation], parameters);
      return sizedAt(rest).subarray(2);
    };
    if (!keys.byPolicy) return activate(PASSWORD);
    // TPM2_StartAuthSession (§11.1): no salt, nothing bound, SHA-256.
    const session = [sized(Buffer.alloc(16, 1)), word(0), Buffer.of(1), word(0x10), word(0x0b)];
    const { handle } = await this.#call(0x176, [NULL_HANDLE, NULL_HANDLE], [], session, true);
    try {
      // TPM2_PolicySecret (§23.4).
      const nothing = [word(0), word(0), word(0), long(0)];
      await this.#call(0x151, [ENDORSEMENT_HIERARCHY, handle], [PASSWORD], nothing);
      return await activate(Buffer.concat([long(handle), word(0), Buffer.of(1), word(0)]));
    } finally {
      await this.flush(handle);
    }
  }

  /** TPM2_Certify (§18.2), in the key's own way of signing: TPMS_ATTEST and TPMT_SIGNATURE. */
  async certify(
    { object, key }: { readonly object: number; readonly key: number },
    qualifyingData: Uint8Array,
  ): Promise<{ readonly attested: Buffer; readonly signature: Buffer }> {
    const parameters = [sized(qualifyingData), word(0x10)];
    const { rest } = await this.#call(0x148, [object, key], [PASSWORD, PASSWORD], parameters);
    const attested = sizedAt(rest);
    return { attested: attested.subarray(2), signature: rest.subarray(attested.length) };
  }

  /** TPM2_Sign (§20.5), in the key's own way: TPMT_SIGNATURE over a digest that was made outside. */
  async sign(key: number, digest: Uint8Array): Promise<Buffer> {
    const ticket = Buffer.concat([word(0x8024), long(NULL_HANDLE), word(0)]);
    return (await this.#call(0x15d, [key], [PASSWORD], [sized(digest), word(0x10), ticket])).rest;
  }

  /** TPM2_FlushContext (§28.4): a module holds three objects. What is gone already stays gone. */
  async flush(handle: number): Promise<void> {
    await this.#call(0x165, [], [], [long(handle)]).catch(() => undefined);
  }

  /** `rest`: the parameters of the answer; `handle`: what comes before them, where the command makes one. */
  async #call(
    code: number,
    handles: readonly number[],
    sessions: readonly Buffer[],
    parameters: readonly Buffer[],
    makes = false,
  ): Promise<{ readonly handle: number; readonly rest: Buffer }> {
    const area = Buffer.concat(sessions);
    const authorised = sessions.length > 0 ? [long(area.length), area] : [];
    const body = Buffer.concat([...handles.map(long), ...authorised, ...parameters]);
    const head = [word(sessions.length > 0 ? SESSIONS : NO_SESSIONS), long(10 + body.length), long(code)];
    const command = Buffer.concat([...head, body]);
    let answer = await this.#send(command);
    for (let tries = 1; isBusy(answer) && tries < MOST_TRIES; tries++) {
      await pause(20 * tries);
      answer = await this.#send(command);
    }
    const result = resultOf(answer);
    if (result !== 0) {
      throw new WritError('signer_failed', `The trusted platform module refused command 0x${code.toString(16)}.`, {
        field: `0x${(result >>> 0).toString(16)}`,
        remedy: 'Look the code up with "tpm2_rc_decode"; the endorsement hierarchy must have an empty password.',
      });
    }
    const at = makes ? 14 : 10;
    const handle = makes ? answer.readUInt32BE(10) : 0;
    if (sessions.length === 0) return { handle, rest: answer.subarray(at) };
    return { handle, rest: answer.subarray(at + 4, at + 4 + answer.readUInt32BE(at)) };
  }
}
