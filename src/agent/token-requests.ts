import { WritError } from '../base/error.ts';
import { type CreateJwtSvids, type JwtSvids, MOST_JWT_SVIDS } from '../wire/jwt-svid.ts';

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
    while (waiting.length > 0 && underWay < WIDTH) void request(waiting.splice(0, MOST_JWT_SVIDS));
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
      for (const { reject } of wanted) reject(error);
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
