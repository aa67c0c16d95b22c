/** A thread that reads policy sets which nobody has read before: what they cost Cedar, no request waits for. */
import { parentPort } from 'node:worker_threads';
import { Cedar } from '../../policy/cedar.ts';
import { checkPolicy } from '../../policy/publish.ts';
import { schemaText } from '../../policy/text-files.ts';

const port = parentPort!;
let cedar = new Cedar(schemaText());

port.on('message', (text: string) => {
  // A text can break the one that it is given to.
  if (cedar.broken) cedar = new Cedar(schemaText());
  port.postMessage(checkPolicy(cedar, text));
});
