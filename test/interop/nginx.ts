/** nginx on a free port of loopback, with the status checks of its clients that a test wants. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Member } from '../ocsp-site.ts';
import { nginx, pathOf } from './tools.ts';

export interface Nginx extends AsyncDisposable {
  readonly port: number;
  /** HTTP status that a client with this certificate gets: 200 when it is let in. */
  visit(member: Pick<Member, 'chain' | 'key'>): Promise<number>;
  /** Has it read its files again, and waits until it has. */
  reload(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** `own` serves; `directives` say how clients are checked. `folder` is one that nginx may make its files in. */
export async function startNginx(
  folder: string,
  own: Pick<Member, 'chain' | 'key'>,
  directives: readonly string[],
): Promise<Nginx> {
  const prefix = mkdtempSync(join(folder, 'nginx-'));
  mkdirSync(join(prefix, 'logs'));
  const port = await freePort();
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  writeFileSync(
    join(prefix, 'nginx.conf'),
    `${process.getuid?.() === 0 ? 'user root;' : ''}
daemon off; worker_processes 1; pid ${prefix}/pid; error_log ${prefix}/logs/error.log info;
events { worker_connections 32; }
http {
  access_log off;
  ${temporary.map((name) => `${name}_temp_path ${prefix}/${name};`).join('\n  ')}
  server {
    listen 127.0.0.1:${port} ssl;
    ssl_certificate ${own.chain};
    ssl_certificate_key ${own.key};
    ssl_verify_client on;
    ssl_session_cache off;
    ssl_session_tickets off;
    ${directives.join('\n    ')}
    location / { return 200 "$pid"; }
  }
}
`,
  );
  const args = ['-p', prefix, '-c', join(prefix, 'nginx.conf'), '-e', 'logs/error.log'];
  const running = spawn(pathOf(nginx()), args, { stdio: 'ignore' });
  const ended = once(running, 'exit');
  const stop = async (): Promise<void> => {
    running.kill('SIGQUIT');
    const killed = setTimeout(() => running.kill('SIGKILL'), 2000);
    await ended;
    clearTimeout(killed);
  };
  const log = (): string => readFileSync(join(prefix, 'logs/error.log'), 'utf8');
  const reloads = (): number => log().split('reconfiguring').length - 1;
  const exits = (): number => log().split(/worker process \d+ exited/).length - 1;
  try {
    await until(
      () => answers(port),
      () => isOver(running),
      log,
    );
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    port,
    visit: (member) => visit(port, member),
    async reload() {
      const [begun, left] = [reloads(), exits()];
      running.kill('SIGHUP');
      await until(
        async () => reloads() > begun && exits() > left,
        () => isOver(running),
        log,
      );
    },
    [Symbol.asyncDispose]: stop,
  };
}

const isOver = ({ exitCode, signalCode }: ChildProcess): boolean => exitCode !== null || signalCode !== null;

async function until(holds: () => Promise<boolean>, over: () => boolean, log: () => string): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (over()) break;
    if (await holds()) return;
    await pause(50);
  }
  throw new Error(`nginx does not: ${log()}`);
}

function answers(port: number): Promise<boolean> {
  return fetch(`http://127.0.0.1:${port}/`).then(
    () => true,
    () => false,
  );
}

function visit(port: number, { chain, key }: Pick<Member, 'chain' | 'key'>): Promise<number> {
  const tls = { cert: readFileSync(chain), key: readFileSync(key), rejectUnauthorized: false, agent: false };
  return new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', port, ...tls }, (answer) => resolve(answer.resume().statusCode!))
      .on('error', reject)
      .end();
  });
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as { port: number };
  probe.close();
  await once(probe, 'close');
  return port;
}
