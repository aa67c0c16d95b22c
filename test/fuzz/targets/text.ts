import { formatSerial, parseSerial } from '../../../src/ca/certificate/serial.ts';
import { isInNetwork, parseNetwork } from '../../../src/ca/profile/network.ts';
import { decodeCursor } from '../../../src/db/cursor.ts';
import { parseIdempotencyKey } from '../../../src/http/idempotency.ts';
import { decodeCsr } from '../../../src/rest/csr.ts';
import { isName } from '../../../src/spiffe-id/name.ts';
import { parseSpiffeId, spiffeId } from '../../../src/spiffe-id/spiffe-id.ts';
import { subjectId, subjectOf } from '../../../src/spiffe-id/subject.ts';
import { nameConstraintFault, parseTrustDomain } from '../../../src/spiffe-id/trust-domain.ts';
import { formatJoinToken, parseJoinToken } from '../../../src/wire/join-token.ts';
import { formatIpAddress, parseIpAddress } from '../../../src/x509/path/ip-address.ts';
import { splitMailbox } from '../../../src/x509/path/mailbox.ts';
import { isNamed } from '../../../src/x509/path/reference-name.ts';
import { dnsSubtree, emailSubtree, uriSubtree } from '../../../src/x509/path/subtree.ts';
import { uriHost } from '../../../src/x509/path/uri-host.ts';
import { demand, type Target } from '../target.ts';

const text = (input: Uint8Array): string => Buffer.from(input).toString('utf8');

export const joinToken: Target = {
  name: 'join-token',
  form: 'text',
  longest: 4_096,
  codes: ['bad_token'],
  words: ['writ-join-1-', 'writ-join-2-', ' ', '\n', '=', '_', '-'],
  run(input) {
    const given = text(input);
    demand(formatJoinToken(parseJoinToken(given)) === given.trim(), 'a join token has two spellings');
  },
};

export const spiffe: Target = {
  name: 'spiffe-id',
  form: 'text',
  longest: 4_096,
  codes: ['bad_spiffe_id'],
  words: [
    'spiffe://',
    '/',
    '//',
    '..',
    '.',
    '%2f',
    '?',
    '#',
    '@',
    ':',
    'agents.test',
    'agent',
    'writ/server',
    'A',
    'é',
  ],
  run(input) {
    const id = parseSpiffeId(text(input));
    demand(id.uri === text(input), 'a SPIFFE ID is not given back as it was');
    demand(spiffeId(id.trustDomain, ...id.segments).uri === id.uri, 'a SPIFFE ID is not what its parts make');
    demand(new URL(id.uri).hostname === id.trustDomain, 'URL reads another trust domain');
    const subject = subjectOf(id, id.trustDomain);
    demand(subject === undefined || subjectId(id.trustDomain, subject).uri === id.uri, 'a subject has two ids');
  },
};

export const trustDomain: Target = {
  name: 'trust-domain',
  form: 'text',
  longest: 1_024,
  codes: ['bad_spiffe_id'],
  words: ['.', '..', '-', '_', '0', '0x', 'agents.test', '1.2.3.4'],
  run(input) {
    const domain = parseTrustDomain(text(input));
    const constrained = nameConstraintFault(domain) === undefined;
    demand(!constrained || uriSubtree(domain) !== undefined, 'a fit trust domain cannot be constrained');
    demand(!constrained || uriHost(`spiffe://${domain}/x`) === domain, 'a fit trust domain is not the host of its ids');
    isName(domain);
  },
};

/** Host names, addresses, mailboxes and URIs as certificates and those who check them write them. */
export const hosts: Target = {
  name: 'hosts',
  form: 'text',
  longest: 4_096,
  codes: [],
  words: ['*.', '.', '::', ':', '@', '//', '%', '1', 'ffff', 'a.test', '0x7f', 'https://', '[', ']'],
  run(input) {
    const given = text(input);
    const octets = parseIpAddress(given);
    if (octets !== undefined) {
      demand(octets.length === 4 || octets.length === 16, 'an address of another length');
      const again = parseIpAddress(formatIpAddress(octets));
      demand(again !== undefined && Buffer.compare(again, octets) === 0, 'an address does not survive its text');
    }
    dnsSubtree(given);
    emailSubtree(given);
    splitMailbox(given);
    const host = uriHost(given);
    demand(
      host === undefined || !URL.canParse(given) || new URL(given).hostname.toLowerCase() === host,
      'URL reads another host',
    );
    for (const kind of ['dns', 'ip', 'email', 'uri'] as const)
      isNamed([{ kind: 'dns', value: given }], { kind, value: given }, true);
  },
};

export const cursor: Target = {
  name: 'cursor',
  form: 'text',
  longest: 2_048,
  codes: ['bad_cursor'],
  words: [
    ...[[], ['x', 1], [''], [1, 'a']].map((value) => Buffer.from(JSON.stringify(value)).toString('base64url')),
    '=',
    '-',
    '_',
  ],
  run: (input) => void decodeCursor(text(input), 'agents', { status: 'active' }, ['string', 'number']),
};

export const idempotencyKey: Target = {
  name: 'idempotency-key',
  form: 'text',
  longest: 1_024,
  codes: ['bad_request'],
  words: ['"', '\\', ' '],
  run: (input) => void parseIdempotencyKey(text(input)),
};

/** A CSR as a body holds it: PEM, or base64 of the DER. */
export const csrText: Target = {
  name: 'csr-text',
  form: 'text',
  longest: 32_768,
  codes: ['bad_csr'],
  words: ['-----BEGIN CERTIFICATE REQUEST-----', '-----END CERTIFICATE REQUEST-----', 'NEW ', '\n', '=', 'MIIB', ' '],
  run: (input) => void decodeCsr(text(input)),
};

export const serial: Target = {
  name: 'serial',
  form: 'text',
  longest: 1_024,
  codes: ['bad_request'],
  words: [':', '00', 'ff', 'FF', ' '],
  run(input) {
    const parsed = parseSerial(text(input), '{serial}');
    demand(parsed.length === 20, 'a serial number of another length');
    const again = parseSerial(formatSerial(parsed), '{serial}');
    demand(Buffer.compare(again, parsed) === 0, 'a serial number does not survive its text');
  },
};

export const network: Target = {
  name: 'network',
  form: 'text',
  longest: 1_024,
  codes: [],
  words: ['/', '/0', '/32', '/128', '::', '10.0.0.0', 'ffff'],
  run(input) {
    const parsed = parseNetwork(text(input));
    if (parsed === undefined) return;
    demand(parsed.length === 8 || parsed.length === 32, 'a network of another length');
    demand(isInNetwork(parsed.subarray(0, parsed.length / 2), parsed), 'a network that does not hold its own address');
  },
};
