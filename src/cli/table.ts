import { stripVTControlCharacters } from 'node:util';

/** A plain table: columns as wide as their widest cell, two blanks between them. Empty rows give `empty`. */
export function table(headers: readonly string[], rows: readonly (readonly string[])[], empty: string): string {
  if (rows.length === 0) return empty;
  const lines = [headers, ...rows].map((cells) => cells.map(printable));
  const widths = headers.map((_, column) => Math.max(...lines.map((cells) => cells[column]?.length ?? 0)));
  return lines
    .map((cells) =>
      cells
        .map((cell, i) => cell.padEnd(widths[i]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** Names and values below one another. Absent values are left out. */
export function list(pairs: readonly (readonly [string, string | undefined])[]): string {
  const shown = pairs.filter((pair): pair is readonly [string, string] => pair[1] !== undefined && pair[1] !== '');
  const width = Math.max(...shown.map(([name]) => name.length));
  return shown.map(([name, value]) => `${name.padEnd(width)}  ${printable(value)}`).join('\n');
}

/** Text from a server cannot move the cursor or colour the terminal. */
function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out.
  return stripVTControlCharacters(text).replace(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g, '');
}

/** `in 41 min`, `3 h ago`: how far a time is from now, in the largest unit that fits. Times are milliseconds. */
export function relative(time: number, now: number): string {
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
