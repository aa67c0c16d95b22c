import { isWritError, WritError } from '../base/error.ts';
import type { CreateJwtSvids, JwtSvids } from '../wire/jwt-svid.ts';

/** As many as the server takes in one request. */
export const MOST_AT_ONCE = 64;
/** Requests that are under way at once. What is wanted meanwhile goes with the next. */
const WIDTH = 4;

interface Wanted {
  readonly asked: CreateJwtSvids['tokens'][number];
  readonly resolve: (token: string) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Gives the function that asks for one token. What is wanted in one turn of the event loop, or while the server is busy with
 * the tokens before, goes in one request: each costs both sides more than a token does.
 */
export function createTokenRequests(
  send: (tokens: CreateJwtSvids['tokens']) => Promise<JwtSvids['tokens']>,
): (instance: string, audience: readonly string[]) => Promise<string> {
  const waiting: Wanted[] = [];
  let underWay = 0;
  let scheduled = false;

  function flush(): void {
    scheduled = false;
    while (waiting.length > 0 && underWay < WIDTH) void request(waiting.splice(0, MOST_AT_ONCE));
  }

  async function request(wanted: readonly Wanted[]): Promise<void> {
    underWay += 1;
    try {
      const answers = await send(wanted.map(({ asked }) => asked));
      for (const [n, { resolve, reject }] of wanted.entries()) {
        const { svid, fault } = answers[n] ?? {};
        if (svid !== undefined) resolve(svid.token);
        else reject(fault === undefined ? incomplete() : new WritError(fault.code, fault.detail, given(fault.remedy)));
      }
    } catch (error) {
      // What the server cannot read in one of them is not the others' fault.
      if (wanted.length > 1 && isWritError(error, 'bad_request'))
        await Promise.all(wanted.map((one) => request([one])));
      else for (const { reject } of wanted) reject(error);
    } finally {
      underWay -= 1;
      flush();
    }
  }

  return (instance, audience) =>
    new Promise((resolve, reject) => {
      waiting.push({ asked: { instance, audience }, resolve, reject });
      if (scheduled || underWay >= WIDTH) return;
      scheduled = true;
      setImmediate(flush);
    });
}

function incomplete(): WritError {
  return new WritError('internal', 'The server did not answer for each of the tokens.');
}

function given(remedy: string | undefined): { readonly remedy?: string } {
  return remedy === undefined ? {} : { remedy };
}
