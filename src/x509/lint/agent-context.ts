import type { Lint } from './lint.ts';

/** What an agent was started for stands in its own certificate, never in that of an authority. */
export const agentContext: Lint = {
  name: 'agent_context',
  clause: 'Writ profile',
  about: 'authority',
  check: ({ decoded }) => (decoded.context ? 'is an authority with an agent context' : undefined),
};
