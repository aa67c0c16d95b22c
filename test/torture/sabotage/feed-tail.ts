/** Stands in for `FeedTail` of `src/status/feed/tail.ts`: with `drop-entry` subscribers are not told of every third entry. */
import { FeedTail as Honest, type TailParts } from '../../../src/status/feed/tail.ts';
import type { FeedEntry } from '../../../src/wire/feed.ts';

export const FeedTail: Pick<typeof Honest, 'open'> = {
  async open(parts: TailParts) {
    if (process.env['WRIT_SABOTAGE'] !== 'drop-entry') return Honest.open(parts);
    const tail = await Honest.open({
      ...parts,
      onEntries: (entries, from) => parts.onEntries(entries.filter(kept), from),
    });
    const after = tail.after.bind(tail);
    tail.after = (position) => after(position)?.filter(kept);
    return tail;
  },
};

function kept({ position }: FeedEntry): boolean {
  return position % 3 > 0;
}
