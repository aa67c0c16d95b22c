import type { Caller } from '../../base/access.ts';
import type { Authority } from '../../ca/authority.ts';
import { makeResponderKey, type OcspResponder } from '../../ca/ocsp/responder.ts';
import { issueResponderCertificate } from '../../issuance/responder.ts';
import { OcspAnswers } from '../../status/ocsp/answers.ts';
import { OcspResponders } from '../../status/ocsp/responders.ts';
import type { ThreadParts } from './thread-parts.ts';

const SYSTEM: Caller = { kind: 'system', id: 'system:ocsp' };

type Parts = Pick<ThreadParts, 'reader' | 'epoch' | 'clock' | 'log' | 'authority' | 'certificates' | 'issuance'> & {
  readonly hierarchy: Pick<ThreadParts['hierarchy'], 'algorithm'>;
};

/** The OCSP answers of one thread. The keys of its responders are made in it and never leave it. */
export function ocspAnswers(parts: Parts): OcspAnswers {
  const { reader, epoch, clock, log, authority, certificates, issuance, hierarchy } = parts;
  const certify = async (one: Authority): Promise<OcspResponder> => {
    const key = await makeResponderKey(hierarchy.algorithm);
    const request = { csr: key.csr, authority: await authority.opened(one) };
    return key.open((await issueResponderCertificate(SYSTEM, request, issuance)).der);
  };
  return new OcspAnswers({
    reader,
    certificates,
    epoch,
    clock,
    log,
    authorities: () => authority.authorities(),
    refresh: () => authority.refresh(),
    responders: new OcspResponders({ clock, certify }),
  });
}
