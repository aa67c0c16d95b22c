/** A text of somebody else as a line of a listing can have it: at most 255 characters, none that moves the cursor. */
export function readable(text: string): string {
  const plain = text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, '?');
  return plain.length <= 255 ? plain : `${plain.slice(0, 254)}…`;
}

const LONGEST_VALUE = 1024;

/** The text as the value of a fact; undefined where it cannot be one. Nothing matches what is left out. */
export function factText(text: string): string | undefined {
  const fits = text !== '' && text.length <= LONGEST_VALUE && text.isWellFormed() && !/\p{Cc}/u.test(text);
  return fits ? text : undefined;
}

/** Facts without the values that can be none, and without names of which nothing is left. */
export function factsOfTexts(
  facts: Readonly<Record<string, readonly (string | undefined)[] | undefined>>,
): Readonly<Record<string, readonly string[]>> {
  const kept = Object.entries(facts).map(([name, values = []]) => {
    const texts = values.map((value) => (value === undefined ? undefined : factText(value)));
    return [name, [...new Set(texts.filter((text) => text !== undefined))]] as const;
  });
  return Object.fromEntries(kept.filter(([, values]) => values.length > 0));
}
