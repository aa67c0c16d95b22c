import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isWritError } from '../../base/error.ts';
import { receiver } from '../testdata/ssf-world.ts';
import { pusher } from './push.ts';
import { receiverAddressRule as addressRule, parseReceiverUrl } from './receiver-url.ts';

const STRICT = { allowHttp: false, allowNetworks: [] };

const refused: readonly string[] = [
  'http://receiver.example.com/',
  'ftp://receiver.example.com/',
  'file:///etc/passwd',
  'https://user:secret@receiver.example.com/',
  'https://receiver.example.com/#fragment',
  'https://127.0.0.1/',
  'https://127.1/',
  'https://2130706433/',
  'https://0x7f.0.0.1/',
  'https://0.0.0.0/',
  'https://10.1.2.3/',
  'https://172.16.0.1/',
  'https://192.168.1.1/',
  'https://100.64.0.1/',
  'https://169.254.169.254/latest/meta-data/',
  'https://224.0.0.1/',
  'https://255.255.255.255/',
  'https://[::1]/',
  'https://[::]/',
  'https://[::ffff:127.0.0.1]/',
  'https://[::ffff:a9fe:a9fe]/',
  'https://[fe80::1]/',
  'https://[fd00::1]/',
  'https://[64:ff9b::7f00:1]/',
  'https://[2002:7f00:1::]/',
  `https://receiver.example.com/${'x'.repeat(2048)}`,
  'receiver.example.com',
  '',
];

test('a receiver stands behind https, and at no address of one’s own network', () => {
  const allowed = addressRule(STRICT);
  for (const url of refused) {
    assert.throws(
      () => parseReceiverUrl(url, STRICT, allowed),
      (error) => isWritError(error, 'bad_request'),
      url,
    );
  }
  for (const url of ['https://receiver.example.com/', 'https://8.8.8.8:8443/x?y', 'https://[2606:4700::1111]/']) {
    assert.equal(parseReceiverUrl(url, STRICT, allowed).href, new URL(url).href);
  }
});

test('a network without its length is refused, and does not stand for every address', () => {
  for (const network of ['10.1.0.0', '10.1.0.0/', '10.1.0.0/x', 'fd00::', '10.1.0.0/33']) {
    assert.throws(
      () => addressRule({ allowHttp: false, allowNetworks: [network] }),
      (error) => isWritError(error, 'bad_config'),
      network,
    );
  }
});

test('what is configured is allowed, and nothing beside it', () => {
  const rules = { allowHttp: true, allowNetworks: ['10.1.0.0/16', 'fd00:1::/32'] };
  const allowed = addressRule(rules);
  parseReceiverUrl('http://10.1.2.3/', rules, allowed);
  parseReceiverUrl('https://[fd00:1::5]/', rules, allowed);
  for (const url of ['https://10.2.0.1/', 'https://[fd00:2::5]/', 'https://127.0.0.1/']) {
    assert.throws(
      () => parseReceiverUrl(url, rules, allowed),
      (error) => isWritError(error, 'bad_request'),
    );
  }
  assert.throws(
    () => addressRule({ allowHttp: false, allowNetworks: ['10.0.0.0/99'] }),
    (error) => isWritError(error, 'bad_config'),
  );
});

test('a name that leads to this machine is not connected to, though it looked harmless', async () => {
  await using there = await receiver();
  const url = there.url.replace('127.0.0.1', 'receiver.example.com');
  const push = pusher({
    allowHttp: true,
    allowNetworks: [],
    resolve: (_host, options, callback) =>
      options.all === true
        ? callback(null, [
            { address: '8.8.8.8', family: 4 },
            { address: '127.0.0.1', family: 4 },
          ])
        : callback(null, '127.0.0.1', 4),
  });
  assert.deepEqual(await push({ endpoint: url, token: 'x' }), { outcome: 'again', fault: 'No connection (EACCES).' });
  assert.equal(there.tokens.length, 0);
});

test('what a receiver took counts as taken however much it says to it', async () => {
  const { createServer } = await import('node:http');
  const server = createServer((_, response) => void response.writeHead(202).end('x'.repeat(100_000)));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  const push = pusher({ allowHttp: true, allowNetworks: ['127.0.0.0/8'] });
  assert.deepEqual(await push({ endpoint: `http://127.0.0.1:${port}/`, token: 'x' }), { outcome: 'delivered' });
  server.close();
});

test('a receiver that never answers is given up', async () => {
  const { createServer } = await import('node:net');
  const server = createServer(() => undefined).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as { port: number };
  const push = pusher({ allowHttp: true, allowNetworks: ['127.0.0.0/8'], timeout: 100 });
  const endpoint = `http://127.0.0.1:${port}/`;
  assert.deepEqual(await push({ endpoint, token: 'x' }), { outcome: 'again', fault: 'No answer in time.' });
  const ended = await push({ endpoint, token: 'x', signal: AbortSignal.abort() });
  assert.deepEqual(ended, { outcome: 'again', fault: 'No connection (ABORT_ERR).' });
  server.close();
});
