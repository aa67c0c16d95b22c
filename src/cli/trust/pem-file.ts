import { existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Root } from './place.ts';

/** A file of many certificates into which blocks of ours are put, each between two lines that name it. */
function readBlocks(file: string): string {
  return existsSync(file) ? readFileSync(file, 'latin1') : '';
}

/** `broken`: the text before did not end in a line break, and one had to be added, which goes with the block. */
function blockOf({ name, pem }: Root, broken: boolean): string {
  const begin = `# begin ${name}, put in by writ trust install${broken ? ' behind a line break' : ''}`;
  return `${broken ? '\n' : ''}${begin}\n${pem.trimEnd()}\n# end ${name}\n`;
}

const BOTH = [true, false] as const;

export function hasBlock(file: string, root: Root): boolean {
  const text = readBlocks(file);
  return BOTH.some((broken) => text.includes(blockOf(root, broken)));
}

export function putBlock(file: string, root: Root): void {
  const text = readBlocks(file);
  mkdirSync(dirname(file), { recursive: true });
  replace(file, text + blockOf(root, text !== '' && !text.endsWith('\n')));
}

/** Gives what is left: to the octet what was there before. */
export function takeBlock(file: string, root: Root): string {
  const left = BOTH.reduce((text, broken) => text.replace(blockOf(root, broken), ''), readBlocks(file));
  replace(file, left);
  return left;
}

/** At once, so that nobody reads half of it; with the mode that it had. */
function replace(file: string, text: string): void {
  const mode = existsSync(file) ? statSync(file).mode & 0o777 : 0o644;
  const fresh = `${file}.writ-new`;
  writeFileSync(fresh, text, { encoding: 'latin1', mode });
  renameSync(fresh, file);
}
