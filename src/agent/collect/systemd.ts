import { type Collector, mainCgroup, NOTHING } from './collector.ts';

/**
 * The unit of systemd that a process runs in, read off its control group, which root alone gives. A user's own manager names
 * the groups below its service as the user likes: those are `systemd:user_unit`, and no unit of the system's.
 */
export function systemdCollector(): Collector {
  return {
    name: 'systemd',
    async collect(subject) {
      const path = mainCgroup(subject);
      if (path === undefined) return NOTHING;
      const { slice, unit, userUnit } = parseUnit(path);
      if (unit === undefined) return NOTHING;
      return {
        facts: {
          'systemd:unit': [unit],
          ...(slice === undefined ? {} : { 'systemd:slice': [slice] }),
          ...(userUnit === undefined ? {} : { 'systemd:user_unit': [userUnit] }),
        },
        notes: [],
      };
    },
  };
}

const UNIT = /^[A-Za-z0-9:_.\\@-]+\.(?:service|scope|socket|mount|swap)$/;

/**
 * The first group that is no slice is the unit; what it makes below itself is its own affair (systemd.resource-control(5),
 * "Delegate="), but for the manager of a user, which has units again.
 */
export function parseUnit(path: string): {
  readonly slice?: string | undefined;
  readonly unit?: string | undefined;
  readonly userUnit?: string | undefined;
} {
  // A leading underscore keeps a unit's name apart from the files of the kernel.
  const parts = path
    .split('/')
    .slice(1)
    .map((part) => part.replace(/^_/, ''));
  const at = parts.findIndex((part) => !part.endsWith('.slice'));
  const unit = parts[at];
  if (at === -1 || unit === undefined || !UNIT.test(unit)) return {};
  const slice = parts[at - 1];
  if (!/^user@\d+\.service$/.test(unit)) return { slice, unit };
  const below = parts.slice(at + 1).find((part) => !part.endsWith('.slice'));
  return { slice, unit, userUnit: below !== undefined && UNIT.test(below) ? below : undefined };
}
