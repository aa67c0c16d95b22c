import { stripVTControlCharacters, styleText } from 'node:util';

type Style = Parameters<typeof styleText>[0];

/** Words that mean something at a glance. Colour repeats what the word says and is never alone. */
const STYLES: Readonly<Record<string, Style>> = {
  active: 'green',
  ok: 'green',
  next: 'cyan',
  quarantined: 'yellow',
  WARN: 'yellow',
  spent: 'dim',
  expired: 'dim',
  retired: 'dim',
  revoked: 'red',
  stopped: 'red',
  removed: 'red',
  gone: 'red',
  FAIL: 'red',
};

export interface TableOptions {
  /** What stands there instead of a table without rows. */
  readonly empty: string;
  readonly colour: boolean;
}

/** A plain table: columns as wide as their widest cell, two blanks between them. */
export function table(
  headers: readonly string[],
  rows: readonly (readonly string[])[],
  { empty, colour }: TableOptions,
): string {
  if (rows.length === 0) return empty;
  const lines = [headers, ...rows].map((cells) => cells.map(printable));
  const widths = headers.map((_, column) => Math.max(...lines.map((cells) => cells[column]?.length ?? 0)));
  return lines
    .map((cells, line) =>
      cells
        .map((cell, column) => {
          const last = column === cells.length - 1;
          const padding = last ? '' : ' '.repeat(widths[column]! - cell.length);
          return (colour ? styled(cell, line === 0 ? 'bold' : STYLES[cell]) : cell) + padding;
        })
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function styled(cell: string, style: Style | undefined): string {
  // Whether there is colour has been decided already.
  return style === undefined ? cell : styleText(style, cell, { validateStream: false });
}

/** Names and values below one another. Absent values are left out. */
export function list(pairs: readonly (readonly [string, string | undefined])[]): string {
  const shown = pairs.filter((pair): pair is readonly [string, string] => pair[1] !== undefined && pair[1] !== '');
  const width = Math.max(...shown.map(([name]) => name.length));
  return shown.map(([name, value]) => `${name.padEnd(width)}  ${printable(value)}`).join('\n');
}

/** Text from a server cannot move the cursor, colour the terminal or begin a line. */
function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out.
  return stripVTControlCharacters(text).replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, '');
}

/** `in 41 min`, `3 h ago`: how far a time is from now, in the largest unit that fits. Times are milliseconds. */
export function relative(time: number, now: number): string {
  if (Number.isNaN(time)) return '';
  const seconds = Math.round(Math.abs(time - now) / 1000);
  const [amount, unit] =
    seconds < 90
      ? [seconds, 's']
      : seconds < 90 * 60
        ? [Math.round(seconds / 60), 'min']
        : seconds < 36 * 3600
          ? [Math.round(seconds / 3600), 'h']
          : [Math.round(seconds / 86_400), 'd'];
  return time >= now ? `in ${amount} ${unit}` : `${amount} ${unit} ago`;
}
