import type { Caller } from '../base/access.ts';
import { OFFICERS, pushMember, SECURITY } from '../registry/group.ts';
import { NOBODY, type OperatorPerson, pushPerson } from '../registry/person.ts';
import type { Name } from '../spiffe-id/name.ts';
import { operatorId } from '../spiffe-id/subject.ts';
import type { IssuedCertificate } from './issued.ts';
import { addOperatorWithCertificate } from './operator.ts';
import type { IssuanceParts } from './parts.ts';
import type { CertificateRequest } from './request.ts';

/**
 * Adds an operator as the credential of a person, in one act with the first certificate. Where there never was an
 * operator the person becomes the first of the officers and of those who pull the cord, since nobody else could make
 * them one.
 */
export async function addOperatorOf(
  caller: Caller,
  request: CertificateRequest & {
    readonly operator: Name;
    /** Absent: a program's credential, which is nobody's. */
    readonly person: OperatorPerson | undefined;
    /** Groups that the person, if somebody new, is taken into. Whoever asks may change groups. */
    readonly groups?: readonly string[];
  },
  parts: IssuanceParts,
): Promise<IssuedCertificate> {
  const { operator, person, groups: wanted = [] } = request;
  const first = (await parts.reader.get('SELECT 1 AS found FROM operator')) === undefined;
  return addOperatorWithCertificate(
    caller,
    {
      ...request,
      person: person?.id ?? NOBODY,
      also(batch, now) {
        const said = person === undefined ? {} : pushPerson(batch, person, { now, random: parts.random });
        if (first) {
          batch.checks.push({
            sql: 'SELECT 1 FROM operator',
            params: [],
            want: 'absent',
            refusal: 'conflict',
            reason: 'Another operator was added meanwhile.',
          });
        }
        const groups = [
          ...new Set([...(first ? [OFFICERS, SECURITY] : []), ...(person?.known === false ? wanted : [])]),
        ];
        if (person !== undefined) for (const group of groups) pushMember(batch, group, person.id, now);
        // What policy knows of people and their groups has changed.
        batch.bumpsEpoch = true;
        batch.events.push({
          type: 'operator.added',
          subjects: [`operator:${operator}`, ...(person === undefined ? [] : [`person:${person.id}`])],
          body: {
            caller: caller.id,
            operator,
            id: operatorId(parts.trustDomain, operator).uri,
            ...said,
            ...(person === undefined ? { program: true } : groups.length > 0 ? { groups } : {}),
          },
        });
      },
    },
    parts,
  );
}
