import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { isWritError } from '../../base/error.ts';
import { openTpm, Tpm } from './tpm-device.ts';

/* With a module the whole exchange is in `test/journeys/attestation-kinds.test.ts`. Here is what no module says. */

test('where there is no module, or none that may be used, it is said which path and which group', async () => {
  const said = (error: unknown): boolean =>
    isWritError(error, 'bad_config') && error.field === 'device' && /tss/.test(error.remedy ?? '');
  await assert.rejects(openTpm('/nonexistent/tpmrm0'), said);
  const folder = mkdtempSync(join(tmpdir(), 'writ-tpm-'));
  try {
    await assert.rejects((await openTpm(folder))(new Uint8Array(10)), said);
    const path = join(folder, 'socket');
    const server = createServer((connection) => connection.destroy()).listen(path);
    await once(server, 'listening');
    const send = await openTpm(path);
    const heard = await send(new Uint8Array(10)).catch(said);
    assert.ok(heard === true || (heard as Buffer).length === 0, 'cut off');
    server.close();
    await once(server, 'close');
    await assert.rejects(send(new Uint8Array(10)), said);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('an answer that is a refusal, or none, is an error with the module’s code', async () => {
  const answers: readonly [Buffer, string][] = [
    [Buffer.from('80010000000a0000098e', 'hex'), '0x98e'],
    [Buffer.alloc(0), '0xffffffff'],
  ];
  for (const [answer, code] of answers) {
    const tpm = new Tpm(async () => answer);
    await assert.rejects(
      tpm.sign(0x8000_0000, new Uint8Array(32)),
      (error) => isWritError(error, 'signer_failed') && error.field === code,
    );
    assert.equal(await tpm.readNv(0x01c0_0002), undefined);
    await tpm.flush(0x8000_0000);
  }
});

test('a module that is busy is asked again', async () => {
  let asked = 0;
  const tpm = new Tpm(async () => {
    asked += 1;
    return Buffer.from(asked < 3 ? '80010000000a00000922' : '80020000001000000000000000020018', 'hex');
  });
  assert.equal((await tpm.sign(0x8000_0000, new Uint8Array(32))).toString('hex'), '0018');
  assert.equal(asked, 3);
});

test('a command is what Part 3 has: tag, length, code, handles, authorisation, parameters', async () => {
  let sent = Buffer.alloc(0);
  const tpm = new Tpm(async (command) => {
    sent = Buffer.from(command);
    return Buffer.from('80020000001000000000000000020018', 'hex');
  });
  assert.equal((await tpm.sign(0x8000_0001, new Uint8Array(32).fill(7))).toString('hex'), '0018');
  const want =
    '8002' +
    '00000047' +
    '0000015d' +
    '80000001' +
    '00000009' +
    '400000090000000000' +
    `0020${'07'.repeat(32)}` +
    '0010' +
    '8024400000070000';
  assert.equal(sent.toString('hex'), want);
});
