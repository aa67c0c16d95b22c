import { readFile } from 'node:fs/promises';
import { type Collector, mainCgroup, NOTHING, parseCgroups, type Seen, type Subject } from './collector.ts';
import { at, getJson, labelFacts, textAt } from './unix-request.ts';

const KEPT_MS = 60_000;
const KEPT = 1024;

/**
 * The container that a process runs in: its id off the control group, and what Docker's own socket says of it. A control
 * group can be called like somebody else's container where a user has a part of the tree to himself, so what Docker says
 * counts only when the container's first process is in the very same group.
 */
export function containerCollector(docker: { readonly socketPath: string } | undefined): Collector {
  const known = new Map<string, { readonly at: number; readonly seen: Seen }>();
  return {
    name: 'container',
    async collect(subject) {
      const path = [mainCgroup(subject), ...subject.cgroups.values()].find(
        (one) => one !== undefined && containerOf(one) !== undefined,
      );
      const id = path === undefined ? undefined : containerOf(path);
      if (path === undefined || id === undefined) return NOTHING;
      const own: Seen = isUsers(path)
        ? { facts: {}, notes: ['container:id: the control group is of a user’s own making'] }
        : { facts: { 'container:id': [id] }, notes: [] };
      if (docker === undefined) return own;
      const kept = known.get(`${id} ${path}`);
      if (kept !== undefined && performance.now() - kept.at < KEPT_MS) return kept.seen;
      try {
        const seen = await ask(docker, id, path);
        if (known.size >= KEPT) known.delete(known.keys().next().value!);
        known.set(`${id} ${path}`, { at: performance.now(), seen });
        return seen;
      } catch (error) {
        const notes = [...own.notes, `container:image: Docker did not say (${(error as Error).message})`];
        return { ...own, notes, silent: true };
      }
    },
  };
}

async function ask(docker: { readonly socketPath: string }, id: string, path: string): Promise<Seen> {
  const container = await getJson(docker, `/containers/${id}/json`);
  const first = at(container, 'State', 'Pid');
  if (at(container, 'Id') !== id || typeof first !== 'number' || first <= 0) throw new Error('no such container runs');
  if (!(await isSameGroup(first, path))) throw new Error('the control group is not that of the container');
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

/** Whether a process is in that group, or that group is below its own: what a container starts may be in one below. */
async function isSameGroup(pid: number, path: string): Promise<boolean> {
  try {
    const groups = parseCgroups(await readFile(`/proc/${pid}/cgroup`, 'latin1'));
    return [...groups.values()].some((of) => of !== '/' && (path === of || path.startsWith(`${of}/`)));
  } catch {
    return false;
  }
}

/** The part of the tree that users' own managers rule. */
function isUsers(path: string): boolean {
  return path.split('/').some((part) => part === 'user.slice' || /^user@\d+\.service$/.test(part));
}

/**
 * The container's id in the path of a control group: 64 hexadecimal digits, alone or behind a runtime's name and before
 * `.scope`: `/docker/ID`, `/system.slice/docker-ID.scope`, `…/cri-containerd-ID.scope`, `…/crio-ID.scope`,
 * `/machine.slice/libpod-ID.scope`, `/kubepods/…/ID`. The deepest counts: a container may run others.
 */
export function containerOf(path: string): string | undefined {
  for (const part of path.split('/').reverse()) {
    const [, id] = /^(?:[a-z][a-z0-9-]*[-:])?([0-9a-f]{64})(?:\.scope)?$/.exec(part) ?? [];
    if (id !== undefined) return id;
  }
  return undefined;
}

/** The path of the group of a subject that names its pod, for who asks the kubelet. */
export function podOf(subject: Subject): { readonly uid: string; readonly container: string } | undefined {
  for (const path of new Set(subject.cgroups.values())) {
    if (isUsers(path)) continue;
    const container = containerOf(path);
    // `pod<uid>` or `…-pod<uid>.slice`, where systemd has underscores for dashes.
    const [, uid] =
      /(?:^|[/-])pod([0-9a-f]{8}[-_]?[0-9a-f]{4}[-_]?[0-9a-f]{4}[-_]?[0-9a-f]{4}[-_]?[0-9a-f]{12}|[0-9a-f]{32})(?:\.slice)?\//.exec(
        path,
      ) ?? [];
    if (uid !== undefined && container !== undefined) return { uid: uid.replaceAll('_', '-'), container };
  }
  return undefined;
}
