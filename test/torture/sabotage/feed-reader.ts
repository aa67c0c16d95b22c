/** Stands in for `FeedReader` of `src/sdk/feed/reader.ts`: with `stay-well` what was well once never seems old. */
import { FeedReader as Honest } from '../../../src/sdk/feed/reader.ts';

export class FeedReader extends Honest {
  override age(): number {
    const age = super.age();
    return process.env['WRIT_SABOTAGE'] === 'stay-well' && Number.isFinite(age) ? 0 : age;
  }
}
