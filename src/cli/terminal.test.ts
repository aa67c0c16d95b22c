import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Input } from './command.ts';
import { confirmed } from './confirm.ts';
import { openTerminal, type Streams } from './terminal.ts';

function open(options: { tty?: boolean; json?: boolean; quiet?: boolean; ask?: Streams['ask'] } = {}) {
  const { tty = false, json = false, quiet = false, ask } = options;
  const said = { stdout: '', stderr: '' };
  const into = (name: 'stdout' | 'stderr') => ({
    isTTY: tty,
    write: (text: string) => {
      said[name] += text;
    },
  });
  const streams: Streams = {
    stdout: into('stdout'),
    stderr: into('stderr'),
    stdin: { isTTY: tty },
    environment: {},
    ...(ask === undefined ? {} : { ask }),
  };
  return { said, terminal: openTerminal(streams, { json, quiet, colour: undefined }) };
}

test('results go to stdout, narration to stderr; --json and --quiet choose among them', () => {
  const talk = (options: Parameters<typeof open>[0]) => {
    const { said, terminal } = open(options);
    terminal.say('one moment');
    terminal.progress('half way');
    terminal.result({ a: 1 }, 'A is 1');
    terminal.close();
    return said;
  };
  assert.deepEqual(talk({}), { stdout: 'A is 1\n', stderr: 'one moment\nhalf way\n' });
  assert.deepEqual(talk({ quiet: true }), { stdout: 'A is 1\n', stderr: '' });
  assert.deepEqual(talk({ json: true, quiet: true }), { stdout: '{\n  "a": 1\n}\n', stderr: '' });
});

test('an empty result is no empty line, and a text keeps its own line end', () => {
  const { said, terminal } = open();
  terminal.result({}, '');
  terminal.result({}, 'x\n');
  terminal.line({ b: 2 }, 'y');
  assert.equal(said.stdout, 'x\ny\n');
});

test('on a terminal progress spins, but not for what is quick, and leaves nothing behind', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const real = performance.now();
  let now = real;
  t.mock.method(performance, 'now', () => now);
  const { said, terminal } = open({ tty: true });
  terminal.progress('counting');
  now += 200;
  t.mock.timers.tick(200);
  assert.equal(said.stderr, '');
  now += 400;
  t.mock.timers.tick(160);
  assert.match(said.stderr, /⠋ counting.*⠙ counting/s);
  terminal.result({}, 'ten');
  assert.ok(said.stderr.endsWith('\r\u001b[K'));
  const before = said.stderr;
  t.mock.timers.tick(1000);
  assert.equal(said.stderr, before);
});

test('elsewhere progress is a line now and then', (t) => {
  let now = 0;
  t.mock.method(performance, 'now', () => now);
  const { said, terminal } = open();
  for (const text of ['1', '2', '3']) {
    terminal.progress(text);
    now += 1500;
  }
  assert.equal(said.stderr, '1\n3\n');
});

const input = (yes: boolean): Input => ({
  parameters: {},
  rest: [],
  flag: () => undefined,
  flags: () => [],
  has: (name) => yes && name === 'yes',
  dryRun: false,
  json: false,
});

test('what cannot be undone is asked about on a terminal: the name has to be typed', async () => {
  const about = { what: 'This stops planner.', name: 'planner' };
  const asked: string[] = [];
  const answering = (answer: string | undefined) =>
    open({
      tty: true,
      ask: async (question) => {
        asked.push(question);
        return answer;
      },
    });
  assert.equal(await confirmed(input(false), answering('planner').terminal, about), true);
  assert.equal(await confirmed(input(false), answering(' planner ').terminal, about), true);
  for (const wrong of ['plannr', 'y', 'yes', '', undefined]) {
    const { said, terminal } = answering(wrong);
    assert.equal(await confirmed(input(false), terminal, about), false, String(wrong));
    assert.equal(said.stderr, 'Nothing was changed.\n');
  }
  assert.equal(asked.length, 7);
  assert.match(asked[0]!, /^This stops planner\. .*Type planner/);
  assert.equal(await confirmed(input(true), answering('no').terminal, about), true);
  assert.equal(await confirmed(input(false), open().terminal, about), true);
  assert.equal(asked.length, 7);
});
