import * as z from 'zod';
import { type Schema, schemaOf } from './schema.ts';
import { name, time } from './text.ts';

/** People who may agree to something together. */
export interface Group {
  readonly name: string;
  readonly members: readonly {
    readonly person: string;
    /** Active operators who are this person. */
    readonly operators: readonly string[];
    readonly added_at: string;
  }[];
}

export const group: Schema<Group> = schemaOf<Group>()(
  z.strictObject({
    name,
    members: z.array(z.strictObject({ person: name, operators: z.array(name).max(1000), added_at: time })).max(1000),
  }),
);

export interface GroupList {
  readonly items: readonly Group[];
}

export const groupList: Schema<GroupList> = schemaOf<GroupList>()(z.strictObject({ items: z.array(group).max(1000) }));

export const byMember: Schema<{ readonly group: string; readonly person: string }> = schemaOf<{
  readonly group: string;
  readonly person: string;
}>()(z.strictObject({ group: name, person: name }));
