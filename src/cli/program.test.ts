import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WritError } from '../base/error.ts';
import type { Command, Input, Terminal } from './command.ts';
import { runProgram } from './program.ts';
import type { Streams } from './terminal.ts';

/** Runs a line against a small table and gives what the command saw and the user read. */
async function run(line: string, options: Partial<Streams> & { readonly act?: Command['run'] } = {}) {
  const seen: { input?: Input; terminal?: Terminal } = {};
  const act: Command['run'] = async (input, terminal) => {
    Object.assign(seen, { input, terminal });
    return (await options.act?.(input, terminal)) ?? 0;
  };
  const commands: Command[] = [
    {
      path: 'agent register',
      summary: 'Register',
      parameters: [{ name: 'name', summary: 'name', required: true }],
      flags: [
        { name: 'team', value: 'name', summary: 'team', required: true },
        { name: 'label', value: 'pair', summary: 'label', many: true },
        { name: 'kind', value: 'kind', summary: 'kind', choices: ['a', 'b'], default: 'a' },
        { name: 'each', value: 'kind', summary: 'kinds', choices: ['a', 'b'], many: true },
        { name: 'no-loopback', summary: 'without' },
        { name: 'anchor', value: 'directory', summary: 'with' },
        { name: 'no-anchor', summary: 'without' },
        { name: 'force', summary: 'switch' },
      ],
      changes: true,
      run: act,
    },
    {
      path: 'agent list',
      summary: 'List',
      flags: [{ name: 'server', value: 'url', summary: 'server', environment: 'WRIT_SERVER', default: 'https://c' }],
      run: act,
    },
    {
      path: 'run',
      summary: 'Run',
      parameters: [{ name: 'program', summary: 'p', required: true, rest: true, program: true }],
      flags: [{ name: 'agent', value: 'name', summary: 'agent' }],
      run: act,
    },
    {
      path: 'check',
      summary: 'Check',
      parameters: [{ name: 'file', summary: 'files', required: true, rest: true }],
      flags: [{ name: 'keys', value: 'file', summary: 'keys' }],
      run: act,
    },
  ];
  let [stdout, stderr] = ['', ''];
  const streams: Streams = {
    stdout: { write: (text) => (stdout += text), ...options.stdout },
    stderr: { write: (text) => (stderr += text), ...options.stderr },
    stdin: options.stdin ?? {},
    environment: options.environment ?? {},
    ...(options.ask === undefined ? {} : { ask: options.ask }),
  };
  const code = await runProgram(commands, line === '' ? [] : line.split(' '), streams, '9.8.7');
  return { code, stdout, stderr, ...seen };
}

test('flags arrive as the table says', async () => {
  const { code, input } = await run(
    'agent register planner --team pay --label a=1 --label b=2 --each a --each b --force --dry-run',
  );
  assert.equal(code, 0);
  assert.equal(input!.parameters['name'], 'planner');
  assert.equal(input!.flag('team'), 'pay');
  assert.deepEqual(input!.flags('label'), ['a=1', 'b=2']);
  assert.deepEqual(input!.flags('each'), ['a', 'b']);
  assert.equal(input!.flag('kind'), 'a');
  assert.deepEqual(
    [input!.has('force'), input!.has('no-loopback'), input!.dryRun, input!.json],
    [true, false, true, false],
  );
});

test('switches that begin with no- are seen, also beside a flag of the same word', async () => {
  const line = 'agent register planner --team pay';
  const without = (await run(`${line} --no-loopback --no-anchor`)).input!;
  assert.deepEqual(
    [without.has('no-loopback'), without.has('no-anchor'), without.flag('anchor')],
    [true, true, undefined],
  );
  const given = (await run(`${line} --anchor here`)).input!;
  assert.deepEqual([given.has('no-loopback'), given.has('no-anchor'), given.flag('anchor')], [false, false, 'here']);
  const silent = (await run(line)).input!;
  assert.deepEqual([silent.has('no-anchor'), silent.flag('anchor')], [false, undefined]);
});

test('a variable stands for an absent flag', async () => {
  const team = async (line: string, environment: Streams['environment']) =>
    (await run(line, { environment })).input!.flag('server');
  assert.equal(await team('agent list', { WRIT_SERVER: 'https://a' }), 'https://a');
  assert.equal(await team('agent list --server https://b', { WRIT_SERVER: 'https://a' }), 'https://b');
  for (const environment of [{ WRIT_SERVER: '' }, {}]) assert.equal(await team('agent list', environment), 'https://c');
});

test('a program keeps its own flags, with -- and without', async () => {
  for (const line of [
    'run --agent planner -- node a.js --json --agent x',
    'run --agent planner node a.js --json --agent x',
  ]) {
    const { input } = await run(line);
    assert.deepEqual(
      [input!.rest, input!.flag('agent'), input!.json],
      [['node', 'a.js', '--json', '--agent', 'x'], 'planner', false],
    );
  }
});

test('several parameters may stand before or behind flags', async () => {
  for (const line of ['check a b --keys k', 'check --keys k a b', 'check a --keys k b']) {
    const { input } = await run(line);
    assert.deepEqual([input!.rest, input!.flag('keys')], [['a', 'b'], 'k'], line);
  }
});

const WRONG: readonly (readonly [string, RegExp])[] = [
  ['agnet list', /^error: Unknown command 'agnet'\nnext: Did you mean agent\? See: writ --help\n$/],
  ['agent lst', /^error: Unknown command 'lst'\nnext: Did you mean list\? See: writ agent --help\n$/],
  ['agent list --jsn', /^error: Unknown option '--jsn'\nnext: Did you mean --json\? See: writ agent list --help\n$/],
  ['agent register', /next: See: writ agent register --help/],
  [
    'agent register planner',
    /^error: Required option '--team <name>' not specified\nnext: See: writ agent register --help\n$/,
  ],
  ['agent register planner --team', /argument missing/],
  ['agent register planner more --team x', /^error: Too many arguments/],
  ['agent register planner --team x --kind c', /Allowed choices are a, b/],
  [
    'agent register planner --team x --each c',
    /^error: --each does not take this value \(--each\)\nnext: Use one of: a, b\.\n$/,
  ],
  ['check --keys', /next: See: writ check --help/],
];

test('what is typed wrong gets one line of fault, one of help, and exit code 2', async () => {
  for (const [line, text] of WRONG) {
    const { code, stdout, stderr } = await run(line);
    assert.deepEqual([code, stdout], [2, ''], line);
    assert.match(stderr, text, line);
    assert.equal(stderr.trimEnd().split('\n').length, 2, line);
  }
});

test('with --json the same is one object', async () => {
  const { code, stderr } = await run('agent lst --json');
  assert.equal(code, 2);
  assert.deepEqual(JSON.parse(stderr), {
    error: { code: 'bad_request', message: "Unknown command 'lst'", next: 'Did you mean list? See: writ agent --help' },
  });
  assert.match((await run('run --agnet x -- prog --json')).stderr, /^error: /);
});

test('help stands on stdout and is no failure, however it is asked for', async () => {
  for (const line of ['', '--help', 'help', '-h']) {
    const { code, stdout, stderr } = await run(line);
    assert.deepEqual([code, stderr], [0, ''], line);
    assert.match(stdout, /^Usage: writ/);
  }
  for (const line of ['agent', 'agent --help', 'help agent'])
    assert.match((await run(line)).stdout, /^Usage: writ agent /);
  for (const line of ['agent register --help', 'help agent register']) {
    const { code, stdout } = await run(line);
    assert.equal(code, 0);
    assert.match(stdout, /^Usage: writ agent register .*<name>\n/);
    assert.match(stdout, /--team <name> +team \(required\)\n/);
    assert.match(stdout, /--dry-run/);
  }
  assert.doesNotMatch((await run('help agent list')).stdout, /--dry-run/);
  assert.equal((await run('--version')).stdout, '9.8.7\n');
});

const OUTCOMES: readonly (readonly [unknown, number, RegExp])[] = [
  [new WritError('not_found', 'No such agent.'), 3, /^error: No such agent\.\n$/],
  [new WritError('not_authenticated', 'x', { remedy: 'y' }), 4, /^error: x\nnext: y\n$/],
  [
    new WritError('denied', 'x', { field: 'f', reasons: ['a', 'b'], remedy: 'y' }),
    5,
    /^error: x \(f\)\n {2}- a\n {2}- b\nnext: y\n$/,
  ],
  [new WritError('revoked', 'x'), 5, /^error: x/],
  [new WritError('needs_approval', 'x'), 6, /^error: x/],
  [new WritError('bad_policy', 'x'), 7, /^error: x/],
  [new WritError('conflict', 'x'), 8, /^error: x/],
  [new WritError('key_in_use', 'x'), 8, /^error: x/],
  [new WritError('bad_request', 'x'), 2, /^error: x/],
  [new WritError('unavailable', 'x'), 1, /^error: x/],
  [new TypeError('boom'), 1, /^error: a defect in writ: boom\nnext: run again with WRIT_DEBUG=1/],
];

test('each kind of error has its exit code', async () => {
  for (const [error, wanted, text] of OUTCOMES) {
    const act = () => Promise.reject(error);
    const { code, stdout, stderr } = await run('agent list', { act });
    assert.deepEqual([code, stdout], [wanted, '']);
    assert.match(stderr, text);
    assert.doesNotMatch(stderr, /program\.test/);
    const json = await run('agent list --json', { act });
    assert.equal(json.code, wanted);
    assert.equal((JSON.parse(json.stderr) as { error: { message: string } }).error.message, (error as Error).message);
  }
  const act = () => Promise.reject(new TypeError('boom'));
  assert.match((await run('agent list', { act, environment: { WRIT_DEBUG: '1' } })).stderr, /program\.test/);
});

test('the field of a request is shown as it was typed, and to scripts as the server has it', async () => {
  const act = () => Promise.reject(new WritError('bad_request', 'x', { field: '/team' }));
  assert.equal((await run('agent register x --team y', { act })).stderr, 'error: x (--team)\n');
  const { error } = JSON.parse((await run('agent register x --team y --json', { act })).stderr) as {
    error: { field: string };
  };
  assert.equal(error.field, '/team');
});

test('a command’s own exit code is the program’s', async () => {
  assert.equal((await run('agent list', { act: async () => 7 })).code, 7);
});

test('colour is for terminals, and for those who want it', async () => {
  const terminal = { isTTY: true } as Streams['stdout'];
  const colour = async (line: string, environment: Streams['environment'], stdout?: Streams['stdout']) =>
    (await run(line, { environment, ...(stdout === undefined ? {} : { stdout }) })).terminal!.colour;
  assert.equal(await colour('agent list', {}), false);
  assert.equal(await colour('agent list', {}, terminal), true);
  assert.equal(await colour('agent list', { NO_COLOR: '1' }, terminal), false);
  assert.equal(await colour('agent list', { NO_COLOR: '' }, terminal), true);
  assert.equal(await colour('agent list', { TERM: 'dumb' }, terminal), false);
  assert.equal(await colour('agent list --no-color', {}, terminal), false);
  assert.equal(await colour('agent list --json', {}, terminal), false);
  assert.equal(await colour('agent list', { FORCE_COLOR: '1' }), true);
  assert.equal(await colour('agent list', { FORCE_COLOR: '0' }, terminal), false);
  const act = () => Promise.reject(new WritError('conflict', 'x'));
  const written: string[] = [];
  await run('agent list', { act, stderr: { isTTY: true, write: (text) => written.push(text) } });
  assert.equal(written[0], '\u001b[31merror:\u001b[39m x\n');
});
