import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { scratchDirectory } from './authority.ts';

const LAUNCHER = resolve(import.meta.dirname, '../../bin/writ.js');

test('a signal opens no debugger into the process that holds the keys', {
  skip: process.platform !== 'linux',
}, async () => {
  const data = join(scratchDirectory(), 'data');
  const free = ['--listen', '127.0.0.1:0', '--listen-public', '127.0.0.1:0', '--listen-plain', '127.0.0.1:0'];
  const child = spawn(process.execPath, [LAUNCHER, 'start', '--data', data, ...free, '--json']);
  const ended = new Promise((resolve) => child.once('close', resolve));
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said += String(chunk);
  });
  try {
    await new Promise((resolve) => child.stdout.once('data', resolve));
    const [program] = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').split(' ');
    process.kill(Number(program), 'SIGUSR1');
    await pause(500);
    assert.doesNotMatch(said, /Debugger/);
    assert.equal(child.exitCode, null, 'and it runs on');
  } finally {
    child.kill('SIGTERM');
    await ended;
  }
});
