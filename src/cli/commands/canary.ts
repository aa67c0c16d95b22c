import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { WritError } from '../../base/error.ts';
import { type CanaryPoint, CanaryRunner, checkPoints } from '../../sdk/canary/canary.ts';
import { type CanaryPoints, type CanaryReport, canaryPoints } from '../../wire/canary.ts';
import { parseJsonObject } from '../../wire/json.ts';
import { parse } from '../../wire/schema.ts';
import { type Item, textOf, type WithApi } from '../api.ts';
import { onceAskedToStop } from '../asked-to-stop.ts';
import { type Command, EXIT, type Flag, type Input, type Terminal } from '../command.ts';
import { needed } from '../input.ts';
import { listCommand } from '../listing.ts';
import { relative } from '../table.ts';
import { parseDuration, readInput } from '../values.ts';
import { keptIdentity, SOURCE } from './run.ts';

const POINT_FLAGS: readonly Flag[] = [
  { name: 'point', value: 'name', summary: 'name of the enforcement point in the records' },
  { name: 'url', value: 'https://…', summary: 'what is called there' },
  { name: 'every', value: 'duration', summary: 'how often it is looked at', default: '10m' },
  { name: 'peer', value: 'rule', summary: 'who the point is, like service/gateway/*; otherwise its host name decides' },
  { name: 'roots', value: 'file', summary: 'roots of its certificate in PEM, where another authority certified it' },
  { name: 'points', value: 'file', summary: 'many points as JSON, in place of the five flags before: docs/CANARY.md' },
];

/** `writ canary …`: how fast stops take effect, found out by trying. */
export function canaryCommands(withApi: WithApi, now: () => number): readonly Command[] {
  return [runCommand(withApi), listing(withApi, now), removeCommand(withApi)];
}

function runCommand(withApi: WithApi): Command {
  return {
    path: 'canary run',
    summary: 'Stop a canary at enforcement points on a schedule and measure until it is refused',
    details:
      'Runs until it is interrupted. Each result is a line, one JSON document with --json, and is reported to Writ. The agent needs the label canary=true, and the points have to accept its instances: docs/CANARY.md.',
    flags: [
      ...SOURCE,
      { name: 'store', value: 'directory', summary: 'keep the identity of the runner there across restarts' },
      ...POINT_FLAGS,
      { name: 'once', summary: 'look at each point once; exit code 7 unless all refused in time' },
    ],
    examples: [
      {
        line: 'writ canary run --agent canary --point gateway-1 --url https://gateway.internal:8443/canary --every 10m',
        does: 'measures time to effect at one gateway, every ten minutes',
      },
    ],
    async run(input, terminal) {
      const points = pointsOf(input);
      checkPoints(points);
      const { identity, stay } = await keptIdentity(input, withApi);
      const ending = new AbortController();
      const deaf = onceAskedToStop(() => ending.abort());
      const runner = new CanaryRunner({ identity, points });
      runner.on('measured', (report) => terminal.line(report, textOfReport(report)));
      runner.on('failed', (point, error) => terminal.say(`${point}: ${error.message}`));
      try {
        if (input.has('once')) return await lookOnce(runner, points, terminal, ending.signal);
        terminal.say(`Running as ${identity.spiffeId}`);
        await runner.run(ending.signal);
        return EXIT.ok;
      } finally {
        runner.close();
        if (stay) identity.close();
        else await identity.stop('task_completed').catch(() => identity.close());
        deaf();
      }
    },
  };
}

async function lookOnce(
  runner: CanaryRunner,
  points: readonly CanaryPoint[],
  terminal: Terminal,
  signal: AbortSignal,
): Promise<number> {
  let good = true;
  for (const { everyMs: _, ...point } of points) {
    try {
      good = (await runner.probe(point, signal)).verdict === 'refused' && good;
    } catch (error) {
      if (points.length === 1) throw error;
      terminal.say(`${point.point}: ${(error as Error).message}`);
      good = false;
    }
  }
  return good ? EXIT.ok : EXIT.findings;
}

function textOfReport({ point, verdict, detail, ...figures }: CanaryReport): string {
  const { time_to_effect_ms: took, refused_ms: refused, kept_ms: kept, fresh_ms: fresh } = figures;
  const why = detail === undefined ? '' : ` (${detail})`;
  if (verdict === 'unreachable') return `${point}: not accepted to begin with${why}`;
  if (verdict === 'unclear') return `${point}: unclear${why}`;
  const lines = `kept connection ${kept ?? '-'} ms, new ones ${fresh ?? '-'} ms`;
  if (verdict === 'still_accepted') return `${point}: STILL ACCEPTED ${took} ms after the acknowledged stop; ${lines}`;
  return `${point}: last accepted ${took} ms after the acknowledged stop, refused from ${refused} ms on; ${lines}`;
}

function pointsOf(input: Input): readonly CanaryPoint[] {
  const [file, point, url] = ['points', 'point', 'url'].map((name) => input.flag(name));
  if (file !== undefined && point === undefined && url === undefined) {
    const base = file === '-' ? '.' : dirname(file);
    const given = parse(canaryPoints, parseJsonObject(Buffer.from(readInput(file, '--points'))), 'body');
    return given.points.map((one) => pointOf(one, input, base));
  }
  if (file !== undefined || point === undefined || url === undefined) {
    throw new WritError('bad_request', 'It has to be said once which points are looked at', {
      field: '--point',
      remedy: 'Give --point and --url, or --points with a file.',
    });
  }
  const [peer, roots] = [input.flag('peer'), input.flag('roots')];
  const one = { point, url, ...(peer === undefined ? {} : { peer }), ...(roots === undefined ? {} : { roots }) };
  return [pointOf(one, input, '.')];
}

function pointOf(
  { point, url, every, peer, roots }: CanaryPoints['points'][number],
  input: Input,
  base: string,
): CanaryPoint {
  return {
    ...{ point, url, peer, everyMs: parseDuration(every ?? input.flag('every')!, 'every') * 1000 },
    ...(roots === undefined ? {} : { roots: [rootsIn(resolve(base, roots))] }),
  };
}

function rootsIn(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new WritError('bad_request', 'The file with roots cannot be read', {
      field: '--roots',
      remedy: `Check the path: ${path}`,
      cause,
    });
  }
}

function listing(withApi: WithApi, now: () => number): Command {
  const milliseconds = (item: Item, key: string): string => (item[key] === undefined ? '-' : `${textOf(item, key)} ms`);
  return listCommand(withApi, {
    path: 'canary list',
    summary: 'List how fast stops take effect at each enforcement point',
    flags: [
      {
        name: 'status',
        value: 'status',
        summary: 'in this status only',
        choices: ['well', 'failing', 'silent', 'unclear'],
      },
    ],
    request: (input) => ({ path: '/v1/feed/canaries', query: { status: input.flag('status') } }),
    columns: [
      ['POINT', (item) => textOf(item, 'point')],
      ['BY', (item) => textOf(item, 'agent')],
      ['STATUS', (item) => textOf(item, 'status')],
      ['LATEST', (item) => milliseconds(item, 'time_to_effect_ms')],
      ['P50', (item) => milliseconds(item, 'p50_ms')],
      ['P99', (item) => milliseconds(item, 'p99_ms')],
      ['OF', (item) => textOf(item, 'samples')],
      ['FAILURES', (item) => textOf(item, 'failures')],
      ['REPORTED', (item) => relative(Date.parse(textOf(item, 'reported_at')), now())],
      ['DETAIL', (item) => textOf(item, 'detail')],
    ],
    empty: 'No canary has reported. See "writ canary run".',
  });
}

function removeCommand(withApi: WithApi): Command {
  return {
    path: 'canary remove',
    summary: 'Take a point out of the listing that is looked at no more',
    parameters: [{ name: 'point', summary: 'name of the enforcement point', required: true }],
    flags: [{ name: 'agent', value: 'name', summary: 'agent whose canaries looked at it', default: 'canary' }],
    changes: true,
    async run(input, terminal) {
      const [point, agent] = [needed(input, 'point'), input.flag('agent')!];
      if (input.dryRun) {
        terminal.result({ would: 'remove', point, agent }, `Would take out ${point}.`);
        return EXIT.ok;
      }
      const path = `/v1/feed/canaries/${encodeURIComponent(agent)}/${encodeURIComponent(point)}`;
      const removed = await withApi(input, (api) => api.remove(path));
      terminal.result(removed, `${point} is no longer listed. A runner that still looks at it brings it back.`);
      return EXIT.ok;
    },
  };
}
