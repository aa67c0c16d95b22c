import * as z from 'zod';
import { type Page, pageOf } from './page.ts';
import { type Schema, schemaOf } from './schema.ts';
import { name, time } from './text.ts';

/** A team that answers for agents and services. */
export interface OwningTeam {
  readonly team: string;
  readonly status: 'active' | 'gone';
  readonly created_at: string;
  readonly updated_at: string;
}

export const owningTeam: Schema<OwningTeam> = schemaOf<OwningTeam>()(
  z.strictObject({ team: name, status: z.enum(['active', 'gone']), created_at: time, updated_at: time }),
);

export const owningTeamPage: Schema<Page<OwningTeam>> = pageOf(owningTeam);
