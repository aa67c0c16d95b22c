import { get } from 'node:https';
import { rootsOf } from '../ca/authority.ts';
import type { Hierarchy } from '../ca/hierarchy.ts';
import { encodePem } from '../der/pem.ts';
import { checkWritServer } from '../sdk/peer/writ-server.ts';
import { splitAddress } from './config/address.ts';

/** Whether a server of this installation answers at an address, and how it feels. */
export type Readiness =
  | { readonly state: 'ready' }
  /** It answers, and cannot issue. */
  | { readonly state: 'not_ready'; readonly detail: string }
  /** Nobody listens. */
  | { readonly state: 'stopped' }
  /** Somebody listens who is not ours, or who does not answer. */
  | { readonly state: 'strange'; readonly detail: string };

const TIMEOUT_MS = 3000;

/** Asks, trusting our own root and servers alone. */
export async function askReadiness(api: string, hierarchy: Hierarchy): Promise<Readiness> {
  const ca = rootsOf(hierarchy.authorities).map(({ certificate }) => encodePem('CERTIFICATE', certificate.raw));
  const options = {
    ...splitAddress(api),
    path: '/readyz',
    ca,
    checkServerIdentity: checkWritServer(hierarchy.trustDomain),
  };
  try {
    const status = await new Promise<number>((resolve, reject) => {
      get({ ...options, agent: false, signal: AbortSignal.timeout(TIMEOUT_MS) }, (answer) => {
        answer.resume();
        resolve(answer.statusCode ?? 0);
      }).on('error', reject);
    });
    return status === 200 ? { state: 'ready' } : { state: 'not_ready', detail: `it answers with status ${status}` };
  } catch (error) {
    const { code, name, message } = error as NodeJS.ErrnoException;
    if (code === 'ECONNREFUSED') return { state: 'stopped' };
    const late = name === 'AbortError' || name === 'TimeoutError';
    return { state: 'strange', detail: late ? `no answer within ${TIMEOUT_MS / 1000} s` : message };
  }
}
