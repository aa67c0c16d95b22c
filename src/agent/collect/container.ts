import { readFile } from 'node:fs/promises';
import { type Collector, mainCgroup, NOTHING, parseCgroups, type Seen, type Subject } from './collector.ts';
import { at, getJson, labelFacts, textAt } from './unix-request.ts';

const KEPT_MS = 60_000;
const KEPT = 1024;

/**
 * The container that a process runs in: its id off the control group, and what Docker's own socket says of it. Where part of
 * the tree was given to somebody, a control group there can be called like somebody else's container. So the id counts only
 * outside of such parts, and what Docker says only where the container's first process is in the very same group.
 * `processes`: where the kernel tells of them.
 */
export function containerCollector(
  docker: { readonly socketPath: string } | undefined,
  processes = '/proc',
): Collector {
  const known = new Map<string, { readonly at: number; readonly seen: Seen }>();
  return {
    name: 'container',
    async collect(subject) {
      const found = [mainCgroup(subject), ...subject.cgroups.values()]
        .map((one) => (one === undefined ? undefined : containerIn(one)))
        .find((one) => one !== undefined);
      if (found === undefined) return NOTHING;
      const { id, group } = found;
      const own: Seen = isGivenAway(group)
        ? { facts: {}, notes: ['container:id: the control group is of somebody’s own making'] }
        : { facts: { 'container:id': [id] }, notes: [] };
      if (docker === undefined) return own;
      const kept = known.get(group);
      if (kept !== undefined && performance.now() - kept.at < KEPT_MS) return kept.seen;
      try {
        const seen = await ask(docker, id, (first) => isWithin(`${processes}/${first}`, group));
        if (known.size >= KEPT) known.delete(known.keys().next().value!);
        known.set(group, { at: performance.now(), seen });
        return seen;
      } catch (error) {
        const notes = [...own.notes, `container:image: Docker did not say (${(error as Error).message})`];
        return { ...own, notes, silent: true };
      }
    },
  };
}

async function ask(
  docker: { readonly socketPath: string },
  id: string,
  isOwn: (first: number) => Promise<boolean>,
): Promise<Seen> {
  const container = await getJson(docker, `/containers/${id}/json`);
  const first = at(container, 'State', 'Pid');
  if (at(container, 'Id') !== id || typeof first !== 'number' || first <= 0) throw new Error('no such container runs');
  if (!(await isOwn(first))) throw new Error('the control group is not that of the container');
  const [name, imageId] = [textAt(container, 'Config', 'Image'), textAt(container, 'Image')];
  const image = imageId === undefined ? undefined : await getJson(docker, `/images/${imageId}/json`);
  const digests = at(image, 'RepoDigests');
  const ofManifest = (Array.isArray(digests) ? digests : [])
    .filter((one): one is string => typeof one === 'string')
    .flatMap((one) => /@(sha256:[0-9a-f]{64})$/.exec(one)?.[1] ?? []);
  return {
    facts: {
      'container:id': [id],
      ...(name === undefined ? {} : { 'container:image': [name] }),
      ...(imageId === undefined ? {} : { 'container:image_id': [imageId] }),
      ...(ofManifest.length === 0 ? {} : { 'container:image_digest': [...new Set(ofManifest)].slice(0, 64) }),
      ...labelFacts('container:label/', at(container, 'Config', 'Labels')),
    },
    notes: ofManifest.length === 0 ? ['container:image_digest: the image was never in a registry'] : [],
  };
}

/** Whether a process is in that group, or one below. */
async function isWithin(process: string, group: string): Promise<boolean> {
  try {
    const groups = parseCgroups(await readFile(`${process}/cgroup`, 'latin1'));
    return [...groups.values()].some((path) => path === group || path.startsWith(`${group}/`));
  } catch {
    return false;
  }
}

/**
 * Whether a group lies in a part of the tree in which somebody else than root may have made it: below a user's slice, or
 * within a unit of systemd (`Delegate=`) or a container of LXC, which name what is below them as they like.
 */
function isGivenAway(group: string): boolean {
  return group
    .split('/')
    .slice(0, -1)
    .some((part) => part === 'user.slice' || /\.(?:service|scope)$/.test(part) || part.startsWith('lxc.payload'));
}

/**
 * The container in the path of a control group, and its own group: 64 hexadecimal digits, alone or behind a runtime's name
 * and before `.scope`: `/docker/ID`, `/system.slice/docker-ID.scope`, `…/cri-containerd-ID.scope`, `…/crio-ID.scope`,
 * `/machine.slice/libpod-ID.scope`, `/kubepods/…/ID`. The outermost counts: what is below it, whoever runs in it may have
 * made.
 */
export function containerIn(path: string): { readonly id: string; readonly group: string } | undefined {
  const parts = path.split('/');
  for (const [at, part] of parts.entries()) {
    const [, id] = /^(?:[a-z][a-z0-9-]*[-:])?([0-9a-f]{64})(?:\.scope)?$/.exec(part) ?? [];
    if (id !== undefined) return { id, group: parts.slice(0, at + 1).join('/') };
  }
  return undefined;
}

/** The pod of a subject, and which of its containers, for who asks the kubelet. */
export function podOf(subject: Subject): { readonly uid: string; readonly container: string } | undefined {
  for (const path of new Set(subject.cgroups.values())) {
    const container = containerIn(path);
    if (container === undefined || isGivenAway(container.group)) continue;
    // `pod<uid>` or `…-pod<uid>.slice`, where systemd has underscores for dashes; the container is right below.
    const [, uid] =
      /(?:^|[/-])pod([0-9a-f]{8}[-_]?[0-9a-f]{4}[-_]?[0-9a-f]{4}[-_]?[0-9a-f]{4}[-_]?[0-9a-f]{12}|[0-9a-f]{32})(?:\.slice)?\/[^/]+$/.exec(
        container.group,
      ) ?? [];
    if (uid !== undefined) return { uid: uid.replaceAll('_', '-'), container: container.id };
  }
  return undefined;
}
