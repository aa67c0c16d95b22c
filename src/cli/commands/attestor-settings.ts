import { WritError } from '../../base/error.ts';
import { readInput } from '../values.ts';

/** Parameters that are lists: given once for each member, or as a file with PEM. */
const LISTS: ReadonlySet<string> = new Set([
  'roots',
  'intermediates',
  'ca',
  'certificates',
  'accounts',
  'regions',
  'projects',
  'subscriptions',
  'domains',
  'keys',
  'algorithms',
]);

type Value = string | number | boolean | readonly string[] | Readonly<Record<string, readonly string[]>>;

/**
 * Makes of `--set NAME=VALUE` the parameters of an attestor; `@FILE` stands for what is in a file. Whether they are right
 * for the kind the server says. Throws `bad_request`.
 */
export function parametersOf(settings: readonly string[], claims: readonly string[]): Record<string, Value> {
  const parameters: Record<string, Value> = {};
  for (const text of settings) {
    const [name, value] = pairOf(text, '--set');
    const texts = value.startsWith('@') ? fromFile(value.slice(1)) : [value];
    if (LISTS.has(name)) {
      parameters[name] = [...((parameters[name] as readonly string[] | undefined) ?? []), ...texts];
    } else if (name in parameters) {
      throw new WritError('bad_request', `The parameter ${name} is set twice.`, {
        field: '--set',
        remedy: 'Set it once.',
      });
    } else {
      parameters[name] = typed(texts.join(''));
    }
  }
  const wanted: Record<string, string[]> = {};
  for (const text of claims) {
    const [name, value] = pairOf(text, '--claim');
    wanted[name] = [...(wanted[name] ?? []), value];
  }
  if (claims.length > 0) parameters['claims'] = wanted;
  return parameters;
}

function pairOf(text: string, field: string): readonly [string, string] {
  const mark = text.indexOf('=');
  if (mark > 0) return [text.slice(0, mark), text.slice(mark + 1)];
  throw new WritError('bad_request', 'This is not a name, an equals sign and a value.', {
    field,
    remedy: `Write it like ${field} ${field === '--set' ? 'audience=agents.example.com' : 'repository=example/app'}.`,
  });
}

/** The PEM blocks in a file, one by one; what is no PEM as it is. */
function fromFile(path: string): readonly string[] {
  const text = readInput(path, '--set');
  return text.match(/-----BEGIN [A-Z ]+-----[\s\S]*?-----END [A-Z ]+-----/g)?.map((block) => `${block}\n`) ?? [text];
}

function typed(text: string): Value {
  if (text === 'true' || text === 'false') return text === 'true';
  return /^(0|[1-9][0-9]{0,8})$/.test(text) ? Number(text) : text;
}
