import { AGENT_CONTEXT } from '../extensions/agent-context.ts';
import { AUTHORITY_INFO_ACCESS } from '../extensions/authority-info-access.ts';
import { AUTHORITY_KEY_IDENTIFIER } from '../extensions/authority-key-identifier.ts';
import { BASIC_CONSTRAINTS } from '../extensions/basic-constraints.ts';
import { CERTIFICATE_POLICIES } from '../extensions/certificate-policies.ts';
import { CRL_DISTRIBUTION_POINTS } from '../extensions/crl-distribution-points.ts';
import { EXTENDED_KEY_USAGE } from '../extensions/extended-key-usage.ts';
import { KEY_USAGE } from '../extensions/key-usage.ts';
import { NAME_CONSTRAINTS } from '../extensions/name-constraints.ts';
import { NO_REV_AVAIL } from '../extensions/no-rev-avail.ts';
import { OCSP_NO_CHECK } from '../extensions/ocsp-no-check.ts';
import { SUBJECT_KEY_IDENTIFIER } from '../extensions/subject-key-identifier.ts';
import type { Lint } from './lint.ts';

/** Whether each extension is critical. That of the SAN depends on the subject; see `subject-alt-name-critical.ts`. */
const CRITICAL: ReadonlyMap<string, boolean> = new Map([
  [AUTHORITY_KEY_IDENTIFIER, false], // RFC 5280 §4.2.1.1
  [SUBJECT_KEY_IDENTIFIER, false], // §4.2.1.2
  [KEY_USAGE, true], // §4.2.1.3
  [CERTIFICATE_POLICIES, false], // Writ profile
  [BASIC_CONSTRAINTS, true], // §4.2.1.9 for authorities; Writ profile for leaves
  [NAME_CONSTRAINTS, true], // §4.2.1.10
  [EXTENDED_KEY_USAGE, false], // Writ profile
  [CRL_DISTRIBUTION_POINTS, false], // §4.2.1.13
  [AUTHORITY_INFO_ACCESS, false], // §4.2.2.1
  [NO_REV_AVAIL, false], // RFC 9608 §2
  [OCSP_NO_CHECK, false], // RFC 6960 §4.2.2.2.1
  [AGENT_CONTEXT, false], // Writ profile: who does not know it must still accept the certificate
]);

export const criticality: Lint = {
  name: 'criticality',
  clause: 'RFC 5280 §4.2',
  about: 'all',
  check({ tbs: { extensions } }) {
    for (const { oid, critical } of extensions) {
      const due = CRITICAL.get(oid);
      if (due !== undefined && due !== critical) return `has extension ${oid} ${due ? 'not critical' : 'critical'}`;
    }
    return undefined;
  },
};
