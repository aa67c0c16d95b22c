import type { KeyObject } from 'node:crypto';
import { parentPort } from 'node:worker_threads';
import { localSigner } from '../local.ts';

parentPort!.once('message', async ({ key, message }: { key: KeyObject; message: Uint8Array }) => {
  parentPort!.postMessage(await localSigner(key).sign([message]));
});
