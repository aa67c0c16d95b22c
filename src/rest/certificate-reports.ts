import type { Caller } from '../base/access.ts';
import { parseSerial } from '../ca/certificate/serial.ts';
import type { Page, PageRequest } from '../db/cursor.ts';
import type { RecordedEvent } from '../ledger/entry.ts';
import type { ReportedCertificate } from '../report/holds.ts';
import type { StopOrigin } from '../report/origin.ts';
import type * as wire from '../wire/certificate.ts';
import { atQuery, certificate, certificatePage, certificateQuery } from '../wire/certificate.ts';
import { ledgerPage, traceQuery } from '../wire/ledger.ts';
import { bySerial } from '../wire/path.ts';
import type { StopOrigin as StopOriginAnswer } from '../wire/stop.ts';
import { EXAMPLE_STATUS, pemOfMany, statusAnswer } from './certificate-answers.ts';
import { entryAnswer } from './ledger-entries.ts';
import { type Operation, operation } from './operation.ts';
import { given, pageAnswer } from './render.ts';
import { shownTarget } from './stops.ts';

/** What the reading routes under `/v1/certificates` need. Each asks policy. */
export interface CertificateReports {
  list(caller: Caller, filter: ListFilter, page: PageRequest): Promise<Page<ReportedCertificate>>;
  /** The certificates that were valid at an instant: issued, unexpired and unrevoked then. Milliseconds. */
  at(caller: Caller, filter: Whose & { readonly time: number }, page: PageRequest): Promise<Page<ReportedCertificate>>;
  /** Throws `not_found`, as does the next. */
  show(caller: Caller, serial: Uint8Array): Promise<ShownCertificate>;
  /** Everything that the ledger says of the identity in a certificate, in order. */
  trace(
    caller: Caller,
    subject: { readonly serial: Uint8Array; readonly receipts: boolean },
    page: PageRequest,
  ): Promise<Page<RecordedEvent & { readonly receipt?: string; readonly stopped?: StopOrigin }>>;
  readonly trustDomain: string;
  now(): number;
}

interface Whose {
  /** Name of an agent or service. */
  readonly agent?: string;
  readonly instance?: string;
}

interface ListFilter extends Whose {
  readonly profile?: string;
  readonly state?: wire.CertificateStatus['status'];
}

interface ShownCertificate {
  readonly row: ReportedCertificate;
  readonly der: Uint8Array;
  /** DER, issuing authority first, without the root. */
  readonly chain: readonly Uint8Array[];
  readonly stopped?: StopOrigin;
}

export function certificateReportOperations(reports: CertificateReports): Operation[] {
  const pemOf = pemOfMany();
  const status = (row: ReportedCertificate): wire.CertificateStatus =>
    statusAnswer(row, reports.trustDomain, reports.now());
  return [
    operation({
      id: 'listCertificates',
      method: 'GET',
      path: '/v1/certificates',
      access: 'caller',
      action: 'certificate.read',
      summary: 'Certificates, the newest first.',
      query: certificateQuery,
      answer: certificatePage,
      example: { answer: { items: [EXAMPLE_STATUS] } },
      handle: async ({ caller, query }) => {
        const filter = { ...whoseOf(query), ...given('profile', query.profile), ...given('state', query.status) };
        return pageAnswer(await reports.list(caller, filter, pageOf(query)), status);
      },
    }),
    operation({
      id: 'listCertificatesAt',
      method: 'GET',
      path: '/v1/certificates/at',
      access: 'caller',
      action: 'certificate.read',
      summary:
        'Which certificates were valid at an instant: issued by then, not expired, and not revoked by then; and which of them were quarantined.',
      query: atQuery,
      answer: certificatePage,
      example: { answer: { items: [EXAMPLE_STATUS] } },
      handle: async ({ caller, query }) =>
        pageAnswer(
          await reports.at(caller, { ...whoseOf(query), time: Date.parse(query.time) }, pageOf(query)),
          status,
        ),
    }),
    operation({
      id: 'getCertificate',
      method: 'GET',
      path: '/v1/certificates/{serial}',
      access: 'caller',
      action: 'certificate.read',
      summary: 'One certificate as it stands.',
      params: bySerial,
      answer: certificate,
      async handle({ caller, params: { serial } }) {
        const { row, der, chain, stopped } = await reports.show(caller, parseSerial(serial, '{serial}'));
        return {
          ...status(row),
          ...(stopped === undefined ? {} : { stopped: originAnswer(stopped) }),
          certificate: pemOf(der),
          chain: chain.map(pemOf),
        };
      },
    }),
    operation({
      id: 'traceCertificate',
      method: 'GET',
      path: '/v1/certificates/{serial}/trace',
      access: 'caller',
      action: 'certificate.read',
      summary: 'Everything that the ledger says of the identity in a certificate, in order.',
      params: bySerial,
      query: traceQuery,
      answer: ledgerPage,
      async handle({ caller, params: { serial }, query }) {
        const subject = { serial: parseSerial(serial, '{serial}'), receipts: query.receipts === true };
        const page = await reports.trace(caller, subject, pageOf(query));
        return pageAnswer(page, (event) => ({
          ...entryAnswer(event),
          ...given('receipt', event.receipt),
          ...(event.stopped === undefined ? {} : { stopped: originAnswer(event.stopped) }),
        }));
      },
    }),
  ];
}

function originAnswer({ stop, stoppedBy, authority, cause, evidence, confirmedBy }: StopOrigin): StopOriginAnswer {
  return {
    ...(stop === undefined ? {} : { stop: { id: stop.id, target: shownTarget(stop) } }),
    stopped_by: stoppedBy,
    authority,
    cause,
    ...given('evidence', evidence),
    ...given('confirmed_by', confirmedBy),
  };
}

/** Agents and services have one space of names. */
function whoseOf({ agent, service, instance }: wire.WhoseQuery): Whose {
  return { ...given('agent', agent ?? service), ...given('instance', instance) };
}

function pageOf({ limit, cursor }: PageRequest): PageRequest {
  return { ...given('limit', limit), ...given('cursor', cursor) };
}
