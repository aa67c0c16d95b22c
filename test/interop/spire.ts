/** A SPIRE server as it is, on free ports of loopback, with a data directory and a trust domain of its own. */
import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { encodePem } from '../../src/der/pem.ts';
import { eventually, type Foreign, freePort, startForeign } from './foreign.ts';

const run = promisify(execFile);

export interface Spire {
  readonly trustDomain: string;
  /** Its bundle endpoint; by `localhost`, whose name is in certificates. */
  readonly url: string;
  readonly program: Foreign;
  /** One of its commands. Rejects when that fails. Gives what it printed. */
  cli(...args: readonly string[]): Promise<string>;
  /** The bundle that it has of a trust domain, its own by default. */
  bundle(trustDomain?: string): Promise<SpireBundle>;
}

interface SpireBundle {
  readonly text: string;
  readonly sequence: number;
  readonly hint: number;
  /** `kid` of each key of tokens. */
  readonly jwt: readonly string[];
  /** PEM of each root. */
  readonly roots: readonly string[];
}

export interface SpireOptions {
  readonly program: string;
  readonly folder: string;
  readonly trustDomain: string;
  /** How its bundle endpoint proves itself: by its own SVID, or by this certificate and key. */
  readonly profile: 'https_spiffe' | { readonly certificate: string; readonly key: string };
  /** Environment variables. */
  readonly env?: Readonly<Record<string, string>>;
}

export async function startSpire({ program, folder, trustDomain, profile, env }: SpireOptions): Promise<Spire> {
  mkdirSync(folder, { recursive: true });
  const at = (name: string): string => join(folder, name);
  const [port, bundlePort] = [await freePort(), await freePort()];
  let shown = 'profile "https_spiffe" {}';
  if (profile !== 'https_spiffe') {
    writeFileSync(at('web.pem'), profile.certificate);
    writeFileSync(at('web.key'), profile.key, { mode: 0o600 });
    const files = [
      `cert_file_path = "${at('web.pem')}"`,
      `key_file_path = "${at('web.key')}"`,
      'file_sync_interval = "1h"',
    ];
    shown = `profile "https_web" {\n serving_cert_file {\n ${files.join('\n ')}\n }\n }`;
  }
  writeFileSync(
    at('server.conf'),
    `server {
  bind_address = "127.0.0.1"
  bind_port = "${port}"
  socket_path = "${at('api.sock')}"
  trust_domain = "${trustDomain}"
  data_dir = "${at('data')}"
  ca_ttl = "24h"
  federation {
    bundle_endpoint {
      address = "127.0.0.1"
      port = ${bundlePort}
      refresh_hint = "2m"
      ${shown}
    }
  }
}
plugins {
  DataStore "sql" {
    plugin_data {
      database_type = "sqlite3"
      connection_string = "${at('data.sqlite3')}"
    }
  }
  KeyManager "memory" {
    plugin_data {}
  }
  NodeAttestor "join_token" {
    plugin_data {}
  }
}
`,
  );
  const server = startForeign(program, ['run', '-config', at('server.conf')], {
    cwd: folder,
    ...(env === undefined ? {} : { env }),
  });
  const cli = async (...args: readonly string[]): Promise<string> => {
    const words = args.findIndex((arg) => arg.startsWith('-'));
    const [command, flags] = words === -1 ? [args, []] : [args.slice(0, words), args.slice(words)];
    const { stdout } = await run(program, [...command, '-socketPath', at('api.sock'), ...flags]);
    return stdout;
  };
  await eventually(
    () => cli('healthcheck').then(Boolean, () => (server.child.exitCode === null ? undefined : true)),
    server.said,
  );
  if (server.child.exitCode !== null) throw new Error(`SPIRE did not start: ${server.said()}`);
  return {
    ...{ trustDomain, program: server, cli, url: `https://localhost:${bundlePort}/` },
    async bundle(of) {
      const own = of === undefined || of === trustDomain;
      const which = own ? ['bundle', 'show'] : ['bundle', 'list', '-id', `spiffe://${of}`];
      const found = JSON.parse(await cli(...which, '-output', 'json')) as {
        readonly sequence_number: string;
        readonly refresh_hint: string;
        readonly jwt_authorities: readonly { readonly key_id: string }[];
        readonly x509_authorities: readonly { readonly asn1: string }[];
      };
      return {
        text: await cli(...which, '-format', 'spiffe'),
        sequence: Number(found.sequence_number),
        hint: Number(found.refresh_hint),
        jwt: found.jwt_authorities.map(({ key_id }) => key_id),
        roots: found.x509_authorities.map(({ asn1 }) => encodePem('CERTIFICATE', Buffer.from(asn1, 'base64'))),
      };
    },
  };
}
