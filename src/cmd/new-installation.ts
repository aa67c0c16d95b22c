import type { KeyAlgorithm } from '../keys/generate.ts';
import type { Config } from './config/config.ts';

/** What is decided once, when an installation is made. */
export interface NewInstallation {
  readonly config: Config;
  readonly algorithm: KeyAlgorithm;
  /** DNS subtrees and networks that authorities vouch for beside the trust domain. */
  readonly permitDns: readonly string[];
  readonly permitNetworks: readonly string[];
  /** Adds `localhost` and the loopback addresses. */
  readonly loopback: boolean;
  /** File for the root's key, which then never lies in the database. */
  readonly rootKeyOut?: string;
  /** True to put Writ under somebody else's root. */
  readonly externalRoot: boolean;
  /** Where relying parties will find lists and issuers' certificates. Default: what the configuration says. */
  readonly statusUrl?: string;
  /**
   * Whether an installation that is there, or that another machine makes meanwhile, is gone on with as one more replica:
   * never (the default), where there is one, or that and nothing else.
   */
  readonly join?: 'no' | 'may' | 'only';
}
