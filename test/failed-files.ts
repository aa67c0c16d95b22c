import { relative } from 'node:path';
import type { TestEvent } from 'node:test/reporters';

/** A reporter for `node --test`: one line for each failed test, the path of its file and, after a tab, its name. */
export default async function* failedFiles(source: AsyncIterable<TestEvent>): AsyncGenerator<string, void> {
  for await (const event of source) {
    if (event.type !== 'test:fail') continue;
    const { file, name, nesting } = event.data;
    if (file !== undefined && nesting === 0) yield `${relative(process.cwd(), file)}\t${name}\n`;
  }
}
