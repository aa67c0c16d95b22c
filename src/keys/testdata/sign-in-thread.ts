import type { KeyObject } from 'node:crypto';
import { parentPort } from 'node:worker_threads';
import { localSigner } from '../local.ts';

parentPort!.once('message', ({ key, message }: { key: KeyObject; message: Uint8Array }) => {
  void localSigner(key)
    .sign([message])
    .then((signatures) => parentPort!.postMessage(signatures));
});
