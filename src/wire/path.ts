import * as z from 'zod';
import { type Schema, schemaOf } from './schema.ts';
import { id, name, pastedSerial, whole } from './text.ts';

/* Parameters of paths, by the names in their templates. */

export const byName: Schema<{ readonly name: string }> = schemaOf<{ readonly name: string }>()(
  z.strictObject({ name }),
);

export const byId: Schema<{ readonly id: string }> = schemaOf<{ readonly id: string }>()(z.strictObject({ id }));

export const bySerial: Schema<{ readonly serial: string }> = schemaOf<{ readonly serial: string }>()(
  z.strictObject({ serial: pastedSerial }),
);

export const byTeam: Schema<{ readonly team: string }> = schemaOf<{ readonly team: string }>()(
  z.strictObject({ team: name }),
);

export const byIndex: Schema<{ readonly index: number }> = schemaOf<{ readonly index: number }>()(
  z.strictObject({ index: whole(0, Number.MAX_SAFE_INTEGER) }),
);

/** All that is left of a path. */
export const byRest: Schema<{ readonly path: string }> = schemaOf<{ readonly path: string }>()(
  z.strictObject({ path: z.string().max(100) }),
);
