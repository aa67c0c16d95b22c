import { type Cursor, enter, fail, finish, peekTag, readAny } from '../../der/reader.ts';
import { contextConstructed } from '../../der/tag.ts';
import { encode } from '../../der/writer.ts';
import { encodeGeneralNames, type GeneralName, readGeneralNames } from '../general-name.ts';

/** DistributionPointName (RFC 5280 §4.2.1.13), which two extensions share. */
export type DistributionPointName =
  | { readonly fullName: readonly GeneralName[] }
  /** nameRelativeToCRLIssuer as it stands; conforming CAs do not use it. */
  | { readonly relativeName: Uint8Array };

/** Reads `[0] DistributionPointName`, when it is there. The CHOICE makes the tag explicit. */
export function readDistributionPointName(fields: Cursor): DistributionPointName | undefined {
  if (peekTag(fields) !== contextConstructed(0)) return undefined;
  const choice = enter(fields, contextConstructed(0), 'distributionPoint');
  const tag = peekTag(choice);
  if (tag !== contextConstructed(0) && tag !== contextConstructed(1)) fail(choice, '', 'neither of its forms');
  const name =
    tag === contextConstructed(0)
      ? { fullName: readGeneralNames(choice, tag, 'fullName') }
      : { relativeName: readAny(choice, 'nameRelativeToCRLIssuer') };
  finish(choice);
  return name;
}

export function encodeDistributionPointName(name: DistributionPointName): Uint8Array {
  const choice = 'fullName' in name ? encodeGeneralNames(name.fullName, contextConstructed(0)) : name.relativeName;
  return encode(contextConstructed(0), choice);
}
