import { WritError } from '../../base/error.ts';
import type { Log } from '../../base/log.ts';
import { rotateIssuing } from '../../ca/authority/maintain.ts';
import { activeOf } from '../../ca/authority.ts';
import { readHierarchy } from '../../ca/hierarchy.ts';
import { type Command, EXIT } from '../../cli/command.ts';
import { confirmed, YES_FLAG } from '../../cli/confirm.ts';
import { committed } from '../../db/committed.ts';
import { readHead } from '../../ledger/head.ts';
import { finishStops } from '../../revocation/finish.ts';
import { clockSetBack, revokeFutureCertificates, stopsMadeAfter } from '../../revocation/undo-future.ts';
import { type Administration, administer, DATA_FLAG } from '../administration.ts';
import { ADMINISTRATOR } from '../operator-credential.ts';
import { PASSPHRASE_FLAGS } from '../passphrase.ts';
import { CLOCK_OFF_MS } from '../recorder.ts';
import { issuingLearned } from '../server/issuing-learned.ts';

/** The way out after a clock that was far ahead: what it dated is in the log for good, and blocks what is dated rightly. */
export function acceptClockCommand(log: () => Log): Command {
  return {
    path: 'ledger accept-clock',
    summary: 'Go on with the right time after the clock of a server had been far ahead',
    details:
      'For when commits are refused because the clock is behind what is recorded, and the clock is right. Records that the time goes back; entries keep the times they have. Revokes certificates and withdraws join tokens that were made in the future, completes stops that were, and replaces an issuing authority that begins there.',
    flags: [DATA_FLAG, YES_FLAG, ...PASSPHRASE_FLAGS],
    changes: true,
    run: (input, terminal) =>
      administer(input, log(), async (opened) => {
        const { database, parts } = opened;
        const from = (await readHead(database))!.time;
        const to = parts.clock.now();
        const [recorded, now] = [from, to].map((time) => new Date(time).toISOString());
        const what = `The latest entry was made at ${recorded}; this clock shows ${now}.`;
        if (input.dryRun) {
          terminal.result({ would: 'accept-clock', from: recorded, to: now }, `Would go on from this time. ${what}`);
          return EXIT.ok;
        }
        const behind = from - to > CLOCK_OFF_MS;
        if (behind && !(await confirmed(input, terminal, { what, name: now!.slice(0, 10) }))) return EXIT.failed;
        if (behind) {
          const stops = await stopsMadeAfter(database, to);
          committed(await opened.acceptClock(clockSetBack(ADMINISTRATOR, { from, to, stops })));
        }
        // Also when only these were left, by an earlier run that was cut off.
        const authority = await replaceFutureAuthority(opened);
        const marking = { ...parts, reader: database };
        await finishStops(marking);
        const revoked = await revokeFutureCertificates(ADMINISTRATOR, marking);
        if (!behind && revoked === 0 && authority === undefined) throw notBehind();
        terminal.result(
          { from: recorded, to: now, revoked, ...(authority === undefined ? {} : { authority }) },
          `The log goes on at ${now}; ${revoked} certificates from the future are revoked.`,
        );
        if (authority !== undefined) terminal.say(`Signing with authority ${authority} from now on.`);
        return EXIT.ok;
      }),
  };
}

/** Gives the id of the authority that signs instead; undefined when the one there is has begun. */
async function replaceFutureAuthority({ database, parts }: Administration): Promise<string | undefined> {
  const { commit, keyring, statusUrl, clock, random } = parts;
  const issuing = activeOf((await readHierarchy(database))!.authorities, 'issuing');
  if (issuing === undefined || issuing.certificate.notBefore <= clock.now()) return undefined;
  const means = { reader: database, commit, keyring, statusUrl, clock, random, learned: issuingLearned };
  return (await rotateIssuing({ ...means, caller: ADMINISTRATOR.id })).id;
}

function notBehind(): WritError {
  return new WritError('conflict', 'The clock is not behind what is recorded', {
    remedy: 'Nothing needs to be done.',
  });
}
