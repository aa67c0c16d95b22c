import { encodePem } from '../../der/pem.ts';
import { type Authority, rootsOf } from '../authority.ts';

/** The trust anchors as PEM, the newest first. */
export function anchorsPem(authorities: readonly Authority[]): string {
  return rootsOf(authorities)
    .map(({ certificate }) => encodePem('CERTIFICATE', certificate.raw))
    .join('');
}
