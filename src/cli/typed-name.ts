import type { Command } from './command.ts';

/**
 * What somebody typed where a server names a field of a request (`/lifetime_seconds`, `{id}`): the flag or parameter that it
 * came from, as help writes it. The field itself where the command has none that is called so.
 */
export function typedName(field: string, { flags = [], parameters = [] }: Command): string {
  const [, name] = /^\/([a-z_]+)(?:\/|$)/.exec(field) ?? /^\{([a-z_]+)\}$/.exec(field) ?? [];
  if (name === undefined) return field;
  const called = name.replaceAll('_', '-');
  const parameter = parameters.find((one) => one.name === called);
  if (parameter !== undefined) return `<${parameter.name}>`;
  // A flag leaves the unit to its value, may be given several times, or names the file that the rest lies in.
  const wanted = [called, called.replace(/-(?:seconds|minutes|ms)$/, ''), called.replace(/s$/, ''), `${called}-file`];
  const flag = wanted.find((one) => flags.some(({ name: own }) => own === one));
  return flag === undefined ? field : `--${flag}`;
}
