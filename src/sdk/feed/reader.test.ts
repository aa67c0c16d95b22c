/** What a follower makes of what it is given by somebody who need not be believed. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import * as https from 'node:https';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { until } from '../../../test/feed.ts';
import { isWritError } from '../../base/error.ts';
import { testAuthority } from '../../http/testdata/authority.ts';
import type { FeedEntry } from '../../wire/feed.ts';
import type { FeedStatement, SignedStatement } from '../../wire/feed-statement.ts';
import { machineClock } from '../machine-clock.ts';
import { FeedReader } from './reader.ts';
import type { FeedSignatures } from './signatures.ts';

const STOP: FeedEntry = {
  ...{ position: 5, act: 5, effect: 'stop', type: 'instance.stopped', at: 1, expires_at: 2, subjects: ['instance:x'] },
};

function signed(said: FeedStatement): SignedStatement {
  return { chain: [], statement: JSON.stringify(said), signature: '' };
}

test('what an older log said does not take the place of what is known', async () => {
  const root = testAuthority();
  const { keyPem, pem } = root.leaf({ uri: 'spiffe://agents.example.com/service/gateway/1', loopback: true });
  // Whatever the relay serves; everything in it was signed by the authority once.
  let log = 2;
  const streams = new Set<ServerResponse>();
  const server = https.createServer({ key: keyPem, cert: pem }, (_, response) => {
    const state = { log, position: 5, epoch: log, as_of: Date.now(), time: Date.now() };
    response.write(`event: hello\ndata: ${JSON.stringify(state)}\n\n`);
    response.write(`event: signed\ndata: ${JSON.stringify(signed({ kind: 'state', ...state }))}\n\n`);
    streams.add(response);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const pages: boolean[] = [];
  const lost: Error[] = [];
  let fresh = 0;
  const reader = new FeedReader({
    identity: {
      clientOptions: () => ({ ca: root.pem }),
      fetch: () => async (url, init) => {
        const after = new URL(String(url)).searchParams.get('after');
        const said: FeedStatement =
          after === null
            ? {
                kind: 'time',
                nonces: (JSON.parse(String(init!.body)) as { nonces: string[] }).nonces,
                time: Date.now(),
              }
            : {
                ...{ kind: 'page', after: Number(after), log, floor: 0, position: 5, complete: true },
                entries: log === 2 && after === '0' ? [STOP] : [],
              };
        return new Response(JSON.stringify(signed(said)));
      },
    },
    ...{ servers: [`https://127.0.0.1:${(server.address() as AddressInfo).port}`], allow: 'any', relayed: true },
    signatures: {
      read: ({ statement }: SignedStatement) => JSON.parse(statement) as FeedStatement,
    } as unknown as FeedSignatures,
    ...{ point: 'point', clock: machineClock },
    onEntries: (_, anew) => pages.push(anew),
    onFresh: () => fresh++,
    onLost: (error) => lost.push(error),
  });
  try {
    await until(() => fresh > 0);
    assert.deepEqual([pages, reader.place], [[true], { log: 2, position: 5 }]);
    log = 1;
    for (const stream of streams) stream.end();
    await until(() => lost.some((error) => isWritError(error, 'bad_certificate')));
    // A newer one does.
    log = 3;
    await until(() => reader.place.log === 3);
    assert.deepEqual(pages, [true, true]);
  } finally {
    reader.close();
    server.close();
    server.closeAllConnections();
  }
});
