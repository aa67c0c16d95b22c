import { accessTaskOperations } from '../access-tasks.ts';
import { agentOperations } from '../agents.ts';
import { approvalOperations } from '../approvals.ts';
import { attestorOperations } from '../attestors.ts';
import { authorityOperations } from '../authorities.ts';
import { canaryOperations } from '../canaries.ts';
import { certificateReportOperations } from '../certificate-reports.ts';
import { certificateOperations } from '../certificates.ts';
import { domainOperations } from '../domains.ts';
import { entryOperations } from '../entries.ts';
import { emergencyOperations } from '../emergencies.ts';
import { federationOperations } from '../federations.ts';
import { groupOperations } from '../groups.ts';
import { instanceOperations } from '../instances.ts';
import { jwtSvidOperations } from '../jwt-svids.ts';
import { ledgerDocumentOperations } from '../ledger-documents.ts';
import { ledgerEntryOperations } from '../ledger-entries.ts';
import type { Operation } from '../operation.ts';
import { operatorOperations } from '../operators.ts';
import { ownerOperations } from '../owners.ts';
import { policyOperations } from '../policy.ts';
import { profileOperations } from '../profiles.ts';
import { signalOperations } from '../signals.ts';
import { statusOperations } from '../status.ts';
import { stopOperations } from '../stops.ts';
import { svidOperations } from '../svid.ts';
import { tokenOperations } from '../tokens.ts';
import { trustOperations } from '../trust.ts';
import { workloadOperations } from '../workloads.ts';

/** All operations, with nothing behind them: for what concerns their description. */
export function idleOperations(): Operation[] {
  const nothing = new Proxy({}, {
    get: () => () => {
      throw new Error('nothing is behind this operation');
    },
  }) as never;
  return [
    ...statusOperations(nothing),
    ...trustOperations(nothing),
    ...jwtSvidOperations(nothing),
    ...federationOperations(nothing),
    ...domainOperations(nothing),
    ...certificateOperations(nothing),
    ...certificateReportOperations(nothing),
    ...agentOperations(nothing),
    ...instanceOperations(nothing),
    ...ownerOperations(nothing),
    ...stopOperations(nothing),
    ...groupOperations(nothing),
    ...approvalOperations(nothing),
    ...emergencyOperations(nothing),
    ...accessTaskOperations(nothing),
    ...operatorOperations(nothing),
    ...tokenOperations(nothing),
    ...attestorOperations(nothing),
    ...entryOperations(nothing),
    ...workloadOperations(nothing),
    ...svidOperations(nothing),
    ...authorityOperations(nothing),
    ...profileOperations(nothing),
    ...signalOperations(nothing),
    ...canaryOperations(nothing),
    ...policyOperations(nothing),
    ...ledgerEntryOperations(nothing),
    ...ledgerDocumentOperations(nothing),
  ];
}
