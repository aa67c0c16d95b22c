/**
 * A process for `revocation-ocsp.ts`: measures signing in itself, then serves a cached answer and a constant of equal size
 * over plain HTTP, by the product's own server, until it is told to stop. Says on standard output what it measured and
 * where it listens.
 */
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import { systemClock } from '../src/base/clock.ts';
import { silentLog } from '../src/base/log.ts';
import { activeOf } from '../src/ca/authority.ts';
import { ocspAnswers } from '../src/cmd/server/ocsp.ts';
import { DEFAULT_LIMITS } from '../src/http/limits.ts';
import { HttpServer } from '../src/http/server.ts';
import { problemReplies } from '../src/rest/problems.ts';
import type { OcspAnswers } from '../src/status/ocsp/answers.ts';
import { ocspRoutes } from '../src/status/ocsp/routes.ts';
import { parseCertificate } from '../src/x509/certificate.ts';
import { encodeCertId } from '../src/x509/ocsp-cert-id.ts';
import { encodeOcspRequest } from '../src/x509/ocsp-request.ts';
import { parseOcspResponse } from '../src/x509/ocsp-response.ts';
import { makeFleet } from './fleet.ts';
import { makeInstallation, openInstallation } from './installation.ts';
import { median } from './statistics.ts';

/** Certificates that are asked about. */
const AGENTS = 100;
/** Answers in one block, blocks that are measured, answers before the first: the compiler needs its time. */
const BLOCK = 1000;
const BLOCKS = 15;
const WARM = 15_000;
/** A request that is waited for lets others have their turn; here that is the poll of the epoch. */
const TURN_EVERY = 100;
/** Clients are not to be held back here. */
const UNLIMITED = { perSecond: 10_000_000, burst: 10_000_000 };

const [, , data] = process.argv;

await makeInstallation(data!, systemClock);
const installation = await openInstallation(data!, systemClock);
const members = await makeFleet(installation, AGENTS, 1);
const { parts } = installation;
const answers = ocspAnswers({ ...parts, log: silentLog });
const issuer = activeOf(parts.authority.authorities(), 'issuing')!.certificate;
const ids = members.map(({ issued }) => encodeCertId(parseCertificate(issued.der), issuer));

const figures = await measureSigned(answers);

const question = encodeOcspRequest([ids[0]!]);
const { der } = await answers.answer(question);
const text = encodeURIComponent(Buffer.from(question).toString('base64'));
const constant = randomBytes(der.length);
const server = new HttpServer({
  routes: [
    ...ocspRoutes(answers, parts.clock),
    {
      method: 'GET',
      path: '/constant/{request...}',
      access: 'public',
      handle: () => ({ status: 200, type: 'application/ocsp-response', body: constant }),
    },
  ],
  limits: { ...DEFAULT_LIMITS, address: UNLIMITED },
  clock: parts.clock,
  problem: problemReplies(silentLog),
});
const { port } = await server.listen({ host: '127.0.0.1', port: 0 });
process.on('SIGTERM', () => {
  void server
    .close(100)
    .then(() => installation.close())
    .then(() => process.exit());
});
process.stdout.write(`${JSON.stringify({ figures, port, ocsp: `/ocsp/${text}`, constant: `/constant/${text}` })}\n`);

/**
 * DER in to DER out with a nonce, so that each is signed, against the bare signature of a key of the same kind over as many
 * octets; block by block in turn, in processor time.
 */
async function measureSigned(by: OcspAnswers): Promise<Record<string, number>> {
  const questions = Array.from({ length: BLOCK }, (_, i) => encodeOcspRequest([ids[i % AGENTS]!], randomBytes(32)));
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const message = randomBytes(250);
  const whole = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      if (i % TURN_EVERY === 0) await turn();
      await by.answer(questions[i % BLOCK]!);
    }
  };
  const bare = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      if (i % TURN_EVERY === 0) await turn();
      sign('sha256', message, privateKey);
    }
  };
  await whole(WARM);
  await bare(BLOCK);
  const [answering, signing]: [number[], number[]] = [[], []];
  for (let block = 0; block < BLOCKS; block++) {
    answering.push(await processorTimeOf(() => whole(BLOCK)));
    signing.push(await processorTimeOf(() => bare(BLOCK)));
  }
  // What is refused costs nothing.
  const last = parseOcspResponse((await by.answer(questions[0]!)).der);
  if (last.kind === 'fault') throw new Error(`no answer was signed: ${last.fault}`);
  return {
    ocsp_signed_ratio: median(signing.map((us, block) => us / answering[block]!)),
    ocsp_signed_us: median(answering) / BLOCK,
    ocsp_signature_us: median(signing) / BLOCK,
  };
}

/** Microseconds that this thread computed. */
async function processorTimeOf(act: () => Promise<void>): Promise<number> {
  const before = process.threadCpuUsage();
  await act();
  const { user, system } = process.threadCpuUsage(before);
  return user + system;
}
