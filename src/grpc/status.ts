/** Status codes of gRPC by name (gRPC "Status codes and their use"). Wire values: they never change. */
export const STATUS_CODES = {
  ok: 0,
  cancelled: 1,
  unknown: 2,
  invalid_argument: 3,
  deadline_exceeded: 4,
  not_found: 5,
  already_exists: 6,
  permission_denied: 7,
  resource_exhausted: 8,
  failed_precondition: 9,
  aborted: 10,
  out_of_range: 11,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  data_loss: 15,
  unauthenticated: 16,
} as const;

export type StatusName = keyof typeof STATUS_CODES;

/** How a call ended. */
export interface Status {
  readonly code: StatusName;
  /** For people; empty with `ok`. */
  readonly message: string;
}

export const OK: Status = { code: 'ok', message: '' };

const NAMES = new Map<number, StatusName>(
  Object.entries(STATUS_CODES).map(([name, code]) => [code, name as StatusName]),
);

/** The trailers that say how a call ended. */
export function statusTrailers({ code, message }: Status): Record<string, string> {
  const trailers = { 'grpc-status': String(STATUS_CODES[code]) };
  return message === '' ? trailers : { ...trailers, 'grpc-message': percentEncode(message.slice(0, LONGEST)) };
}

/** Characters of a message: with their escapes they still fit among the headers that others take. */
const LONGEST = 1024;

/** Reads the trailers. What has no status that we know is `unknown`, as the protocol demands. */
export function statusOfTrailers(trailers: Readonly<Record<string, string | string[] | undefined>>): Status {
  const code = NAMES.get(Number(trailers['grpc-status'] ?? Number.NaN));
  return { code: code ?? 'unknown', message: percentDecode(String(trailers['grpc-message'] ?? '')) };
}

/** What a server that speaks HTTP alone, or a proxy before it, means for a call (gRPC "HTTP to gRPC status code mapping"). */
export function statusOfHttp(status: number): StatusName {
  if (status === 400) return 'internal';
  if (status === 401) return 'unauthenticated';
  if (status === 403) return 'permission_denied';
  if (status === 404) return 'unimplemented';
  if (status === 429 || status === 502 || status === 503 || status === 504) return 'unavailable';
  return 'unknown';
}

/** Octets of UTF-8 outside %x20-%x7E, and the percent sign, are escaped (gRPC over HTTP/2, "Responses"). */
function percentEncode(text: string): string {
  let out = '';
  for (const octet of Buffer.from(text)) {
    const plain = octet >= 0x20 && octet <= 0x7e && octet !== 0x25;
    out += plain ? String.fromCharCode(octet) : `%${octet.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return out;
}

/** Never fails: what is no escape stays as it is. */
function percentDecode(text: string): string {
  const octets: number[] = [];
  for (let at = 0; at < text.length; at++) {
    const octet = text[at] === '%' ? /^[0-9A-Fa-f]{2}/.exec(text.slice(at + 1, at + 3))?.[0] : undefined;
    if (octet === undefined) octets.push(text.charCodeAt(at) & 0xff);
    else {
      octets.push(Number.parseInt(octet, 16));
      at += 2;
    }
  }
  return Buffer.from(octets).toString('utf8');
}
