import type { Log } from '../../base/log.ts';
import { tokenSigner } from '../../ca/jwt/key.ts';
import { signJwt } from '../../ca/jwt/sign.ts';
import { ageSets } from '../../status/ssf/age.ts';
import { keepSignalKeys, openSecretBox } from '../../status/ssf/keys.ts';
import { namesOf } from '../../status/ssf/names.ts';
import { pusher } from '../../status/ssf/push.ts';
import { forgetReceived } from '../../status/ssf/receive.ts';
import { stopsOf } from '../../status/ssf/stops.ts';
import { listStreams } from '../../status/ssf/stream.ts';
import { Transmitter } from '../../status/ssf/transmitter.ts';
import { splitAddress } from '../config/address.ts';
import { pushOptions, type SignalsConfig } from '../config/signals.ts';
import type { ThreadParts } from './thread-parts.ts';

/** How often the epoch is looked at, which moves with every stop. It costs a comparison. */
const LOOK_MS = 50;
/** How often the streams are looked at besides, for what is to be tried again or was asked for. */
const TURN_MS = 500;
const FORGET_MS = 60_000;
/** How often the queue is looked through for what is too old. It reads all of it. */
const AGE_MS = 3_600_000;
const ROWS_A_SWEEP = 1000;
/** How often it is looked whether a key is due. */
const KEYS_MS = 600_000;

/** The issuer identifier of this transmitter (SSF 1.0 §7.1): an https URL without path. */
export function issuerOf(config: SignalsConfig, name: string, apiAddress: string): string {
  if (config.issuer !== undefined) return config.issuer;
  const { port } = splitAddress(apiAddress);
  return `https://${name.includes(':') ? `[${name}]` : name}:${port}`;
}

/** Tells receivers of stops for as long as the server runs. Gives a function that ends it after what is under way. */
export function startSignals(
  parts: ThreadParts,
  means: { readonly config: SignalsConfig; readonly issuer: string; readonly process: string; readonly log: Log },
): () => Promise<void> {
  const { reader, commit, clock, keyring, random, certificates, hierarchy, authority, epoch } = parts;
  const { config, issuer, process, log } = means;
  const push = pusher(pushOptions(config));
  let transmitter: Transmitter | undefined;
  let seen = -1;
  let nextTurn = 0;
  let busy = false;

  /** The keys are made with the first stream. */
  const open = async (): Promise<Transmitter | undefined> => {
    if ((await listStreams(reader)).length === 0) return undefined;
    const signer = tokenSigner(reader, keyring, clock.now);
    return new Transmitter({
      reader,
      commit,
      stops: stopsOf(reader),
      names: namesOf({
        reader,
        certificates,
        trustDomain: hierarchy.trustDomain,
        authorities: () => authority.authorities(),
      }),
      issuer,
      now: clock.now,
      process,
      sign: async (claims) => signJwt(await signer(), { typ: 'secevent+jwt', claims }),
      push,
      box: await openSecretBox(reader, keyring, random),
      log,
    });
  };

  const look = async (): Promise<void> => {
    const at = epoch.current();
    if (busy || (at === seen && performance.now() < nextTurn)) return;
    busy = true;
    try {
      transmitter ??= await open();
      await transmitter?.turn();
      seen = at;
    } catch (error) {
      log.error('signals not sent', { error: (error as Error).message });
    } finally {
      nextTurn = performance.now() + TURN_MS;
      busy = false;
    }
  };

  const keepKeys = (): void => {
    keepSignalKeys({ reader, commit, keyring, random, clock, algorithm: config.algorithm }).then(
      (done) => done === undefined || log.info('signal keys maintained', { done }),
      (error: unknown) => log.error('signal keys not maintained', { error: (error as Error).message }),
    );
  };
  keepKeys();
  const timers = [
    setInterval(keepKeys, KEYS_MS),
    setInterval(() => void look(), LOOK_MS),
    setInterval(() => {
      forgetReceived({ reader, commit, clock }, ROWS_A_SWEEP).catch((error: unknown) =>
        log.error('received signals not forgotten', { error: (error as Error).message }),
      );
    }, FORGET_MS),
    setInterval(() => {
      ageSets({ reader, commit }, clock.now()).catch((error: unknown) =>
        log.error('old signals not put aside', { error: (error as Error).message }),
      );
    }, AGE_MS),
  ];
  return async () => {
    for (const timer of timers) clearInterval(timer);
    while (busy) await new Promise((resolve) => setTimeout(resolve, 10));
    await transmitter?.end();
  };
}
