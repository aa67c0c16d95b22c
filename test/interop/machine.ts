/** A machine with `writ agent` on it, below a server of its own, for programs that nobody here wrote. */
import { copyFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { after } from 'node:test';
import { Daemon } from '../../src/agent/daemon.ts';
import type { Child } from '../../src/agent/workloads/child.ts';
import { connect } from '../../src/sdk/enrolment/connect.ts';
import type { Identity } from '../../src/sdk/identity/identity.ts';
import { type TestServer, testServer } from '../server.ts';

export interface Machine {
  readonly server: TestServer;
  /** The machine itself, an instance of the service `box`. */
  readonly node: Identity;
  readonly daemon: Daemon;
  /** Throw-away directory, by its real path. */
  readonly scratch: string;
  /** Where the Workload API is. */
  readonly socket: string;
  /** What the ids of all instances of an agent or service begin with: `agent/planner`. */
  prefix(path: string): string;
  /** Puts a copy of a program into `scratch`: its path is what a workload is known by. Gives that path. */
  install(program: string, name: string): string;
  /** Registers the agent and lets in as it whoever runs this program. */
  entry(agent: string, path: string, ...flags: readonly string[]): Promise<void>;
  /** The identity that was let in last as this agent. */
  latest(agent: string): Child;
  /** Has something done before the machine goes down, the latest first. */
  atEnd(step: () => unknown): void;
}

/** Sets one up; it goes down after the tests of this file. */
export async function machine(server?: TestServer): Promise<Machine> {
  const above = server ?? (await testServer());
  const node = await connect({ token: await above.token('box', 'service') });
  const steps: (() => unknown)[] = [() => node.close()];
  after(async () => {
    for (const step of steps.reverse()) await step();
  });
  const scratch = realpathSync(above.scratch);
  const socket = join(scratch, 'agent', 'api.sock');
  const daemon = await Daemon.start({ identity: node, socket, admin: join(scratch, 'agent-admin', 'api.sock') });
  steps.push(() => daemon.close());
  await daemon.refresh();
  const prefix = (path: string): string => `spiffe://${node.trustDomain}/${path}/`;
  return {
    ...{ server: above, node, daemon, scratch, socket, prefix },
    install(program, name) {
      const path = join(scratch, name);
      copyFileSync(program, path);
      return path;
    },
    async entry(agent, path, ...flags) {
      await above.token(agent);
      await above.json('entry', 'create', agent, '--node', 'box', '--match', `unix:path=${path}`, ...flags);
      await daemon.refresh();
    },
    latest(agent) {
      const found = [...daemon.workloads.children].findLast(({ spiffeId }) =>
        spiffeId.startsWith(prefix(`agent/${agent}`)),
      );
      if (found === undefined) throw new Error(`nobody was let in as ${agent}`);
      return found;
    },
    atEnd: (step) => void steps.push(step),
  };
}
