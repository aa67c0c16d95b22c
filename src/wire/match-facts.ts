/** What was seen or proven, by name, e.g. `{"unix:uid": ["1000"]}`. Several values: each of them holds. */
export type Facts = Readonly<Record<string, readonly string[]>>;

/**
 * What of that which an entry asks for (`name=value` each; a value that ends in `*` asks for its beginning) does not hold.
 * A node tries its entries by this, and the server holds it to the same.
 */
export function unmatched(match: readonly string[], facts: Facts): readonly string[] {
  return match.filter((wanted) => {
    const mark = wanted.indexOf('=');
    const [name, value] = [wanted.slice(0, mark), wanted.slice(mark + 1)];
    const given = valuesOf(facts, name);
    if (!value.endsWith('*')) return !given.includes(value);
    const start = value.slice(0, -1);
    return !given.some((one) => one.startsWith(start));
  });
}

export function valuesOf(facts: Facts, name: string): readonly string[] {
  return Object.hasOwn(facts, name) ? facts[name]! : [];
}
