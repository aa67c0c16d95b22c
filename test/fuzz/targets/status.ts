import { isIP } from 'node:net';
import { WritError } from '../../../src/base/error.ts';
import { hostOf } from '../../../src/http/outbound-address.ts';
import type { TrustDomain } from '../../../src/spiffe-id/trust-domain.ts';
import { requestIn } from '../../../src/status/ocsp/routes.ts';
import { judge } from '../../../src/status/ssf/push.ts';
import { readClaims } from '../../../src/status/ssf/receive.ts';
import { parseReceiverUrl, receiverAddressRule } from '../../../src/status/ssf/receiver-url.ts';
import { transmitterOf } from '../../../src/status/ssf/trusted.ts';
import { parseJsonObject } from '../../../src/wire/json.ts';
import { parse } from '../../../src/wire/schema.ts';
import * as signal from '../../../src/wire/signal.ts';
import { NOW } from '../../../src/x509/path/testdata/issue.ts';
import { demand, type Target } from '../target.ts';

const text = (input: Uint8Array): string => Buffer.from(input).toString('latin1');

/** Input: the question of an OCSP GET, as it stands in the path. */
export const ocspPath: Target = {
  name: 'ocsp-path',
  form: 'text',
  longest: 4_096,
  codes: ['bad_request'],
  words: ['%', '%2B', '%2F', '%3D', '=', '==', '/', '+', 'MEIwQDA+', '%00'],
  run(input) {
    const octets = requestIn(text(input));
    if (octets === undefined) throw new WritError('bad_request', 'not base64');
    demand(octets.length > 0 && octets.length <= 2048, 'a question of another length');
  },
};

/** Input: the claims of a token whose signature is good. It may hold somebody of this trust domain, or nobody. */
export const setClaims: Target = {
  name: 'set-claims',
  form: 'json',
  longest: 8_192,
  codes: ['bad_request'],
  run(input) {
    const claims = parseJsonObject(input);
    const transmitter = { issuer: 'https://idp.test', audience: 'https://writ.test' };
    const said = readClaims(claims, transmitter, { now: NOW, trustDomain: 'agents.test' as TrustDomain });
    if ('ok' in said) throw new WritError('bad_request', said.description);
    demand(claims['iss'] === transmitter.issuer, 'a token of somebody else was accepted');
    demand(said.jti.length > 0 && said.jti.length <= 256, 'a token without a name was accepted');
    const { target } = said;
    const name = target === undefined ? 'x' : target.kind === 'agent' ? target.name : target.id;
    demand(!/[^a-zA-Z0-9._-]/.test(name) && name !== '', 'somebody is held whose name is none');
  },
};

/** Input: the header by which a transmitter shows who it is. */
export const bearer: Target = {
  name: 'bearer',
  form: 'text',
  longest: 1_024,
  codes: ['bad_token'],
  words: ['Bearer', 'bearer ', ' ', '  ', '=', '~', 'Basic '],
  run(input) {
    const given = text(input);
    const found = transmitterOf([TRANSMITTER], given);
    if (found === undefined) throw new WritError('bad_token', 'nobody');
    demand(given.trimEnd().endsWith('corpus-corpus-corpus'), 'a token that nobody was given was accepted');
  },
};

const TRANSMITTER = {
  issuer: 'https://idp.test',
  audience: 'https://writ.test',
  keys: [],
  // SHA-256 of "corpus-corpus-corpus".
  bearerHash: Buffer.from('6ce8ac885250b66c0e41f52344d502628c61ab0dc0a0406df28c1e9276fe76ae', 'hex'),
};

const RULES = { allowHttp: false, allowNetworks: [] };
const PUBLIC = receiverAddressRule(RULES);

/** Input: the URL at which a receiver of signals wants them. */
export const receiverUrl: Target = {
  name: 'receiver-url',
  form: 'text',
  longest: 4_096,
  codes: ['bad_request'],
  words: [
    'https://',
    'http://',
    '@',
    '#',
    '[',
    ']',
    '::1',
    '127.0.0.1',
    '0x7f',
    '2130706433',
    '169.254.169.254',
    '%00',
  ],
  run(input) {
    const url = parseReceiverUrl(Buffer.from(input).toString('utf8'), RULES, PUBLIC);
    demand(url.protocol === 'https:' && url.username + url.password + url.hash === '', 'a URL with more than a place');
    const host = hostOf(url);
    demand(isIP(host) === 0 || !/^(127|10|0|169\.254)\.|^::1?$|^::ffff:7f/.test(host), 'an address of our own network');
  },
};

/** Input: what a receiver answers to a signal that was pushed to it. */
export const pushAnswer: Target = {
  name: 'push-answer',
  form: 'json',
  longest: 8_192,
  codes: [],
  run(input) {
    const said = judge(400, Buffer.from(input).toString('utf8'));
    demand(said.outcome !== 'delivered', 'a refusal was taken for a delivery');
    demand('fault' in said && said.fault.length < 200, 'what a stranger said is handed on');
  },
};

/** Input: the body with which a receiver makes its stream, and the URL in it. */
export const streamBody: Target = {
  name: 'stream-body',
  form: 'json',
  longest: 16_384,
  codes: ['bad_request'],
  run(input) {
    const given = parse(signal.createSignalStream, parseJsonObject(input), 'body');
    const endpoint = given.delivery?.endpoint_url;
    if (endpoint !== undefined) parseReceiverUrl(endpoint, RULES, PUBLIC);
  },
};
