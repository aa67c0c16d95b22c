import type { Caller } from '../../base/access.ts';
import { newBatch } from '../../db/batch.ts';
import { committed } from '../../db/committed.ts';
import type { DriftParts } from '../../issuance/drift.ts';
import { readInstance } from '../../registry/instance.ts';
import { quarantine } from '../../revocation/quarantine.ts';
import { cordParts } from './cord-operations.ts';
import type { ThreadParts } from './thread-parts.ts';

/** Says that an instance is not any more what was let in. */
const ATTESTATION: Caller = { kind: 'system', id: 'system:attestation' };

/** Records that an instance has changed, and holds it. Of one that is held or stopped already nothing more is said. */
export function driftHeld(parts: ThreadParts): DriftParts {
  const { reader, commit } = parts;
  return {
    async drifted(instance, names, caller) {
      const found = await readInstance(reader, instance);
      if (found?.status !== 'active') return;
      const batch = newBatch();
      batch.events.push({
        type: 'instance.changed',
        subjects: [`agent:${found.agent}`, `instance:${instance}`],
        body: { caller: caller.id, agent: found.agent, instance, changed: names },
      });
      committed(await commit(batch));
      const target = { kind: 'instance', name: instance } as const;
      await quarantine(ATTESTATION, { target, cause: 'attestation_drift' }, cordParts(parts));
    },
  };
}
