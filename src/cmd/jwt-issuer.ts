import { hostAndPort, splitAddress } from './config/address.ts';
import type { Config } from './config/config.ts';

/** `iss` of JWT-SVIDs. `publicAddress`: of the public listener, as it was really taken. */
export function jwtIssuerOf({ jwtIssuer, names }: Pick<Config, 'jwtIssuer' | 'names'>, publicAddress: string): string {
  return jwtIssuer ?? `https://${hostAndPort(names[0]!, splitAddress(publicAddress).port)}`;
}
