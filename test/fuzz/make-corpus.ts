import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CORPUS } from './corpus.ts';
import { evidence } from './make/attest.ts';
import { requests } from './make/csr.ts';
import { feed } from './make/feed.ts';
import type { Files } from './make/files.ts';
import { bodies } from './make/json.ts';
import { tokens } from './make/jwt.ts';
import { log } from './make/merkle.ts';
import { ocsp } from './make/ocsp.ts';
import { status } from './make/status.ts';
import { texts } from './make/text.ts';
import { certificates } from './make/x509.ts';

/** Writes the corpus anew, one folder for each target. Keys are fresh, so the files differ from run to run. */
export async function makeCorpus(): Promise<void> {
  const corpus: Readonly<Record<string, Files>> = {
    ...certificates(),
    ...ocsp(),
    ...evidence(),
    ...(await requests()),
    ...texts(),
    ...bodies(),
    ...tokens(),
    ...status(),
    ...feed(),
    ...log(),
  };
  rmSync(CORPUS, { recursive: true, force: true });
  for (const [target, files] of Object.entries(corpus)) {
    mkdirSync(join(CORPUS, target), { recursive: true });
    for (const [file, content] of Object.entries(files)) writeFileSync(join(CORPUS, target, file), content);
  }
}
