import { readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { type Collector, NOTHING, type Seen } from './collector.ts';
import { podOf } from './container.ts';
import { at, getJson, labelFacts, textAt } from './unix-request.ts';

export interface KubeletOptions {
  /** `https://127.0.0.1:10250`. */
  readonly url: string;
  /** File with the token of a service account that may `get` `nodes/proxy`; read for each question, since it is renewed. */
  readonly tokenFile?: string | undefined;
  /** File with the PEM that the kubelet's certificate leads to. */
  readonly caFile?: string | undefined;
  /** The kubelet's certificate is its own: only where nobody else can answer at this address. */
  readonly insecure?: boolean | undefined;
}

/** How long a list of pods is believed, and how often it is asked for again when a container is not in it yet. */
const FRESH_MS = 500;
const TRIES = 6;
const PAUSE_MS = 500;

/** The pod that a process runs in, as the kubelet of this machine knows it. */
export function kubernetesCollector(kubelet: KubeletOptions): Collector {
  let asked: { readonly at: number; readonly pods: Promise<readonly unknown[]> } | undefined;
  const podsNow = (): Promise<readonly unknown[]> => {
    if (asked === undefined || performance.now() - asked.at > FRESH_MS) {
      asked = { at: performance.now(), pods: listPods(kubelet) };
    }
    return asked.pods;
  };
  return {
    name: 'kubernetes',
    async collect(subject) {
      const own = podOf(subject);
      if (own === undefined) return NOTHING;
      try {
        // The kubelet hears of a container that has just started a moment later.
        for (let turn = 1; turn <= TRIES; turn++) {
          const seen = factsOf(await podsNow(), own);
          if (seen !== undefined) return seen;
          if (turn < TRIES) await pause(PAUSE_MS);
        }
        return { facts: {}, notes: ['k8s: the kubelet knows no such container'], silent: true };
      } catch (error) {
        return { facts: {}, notes: [`k8s: the kubelet did not say (${(error as Error).message})`], silent: true };
      }
    },
  };
}

async function listPods({ url, tokenFile, caFile, insecure = false }: KubeletOptions): Promise<readonly unknown[]> {
  const read = async (file: string | undefined): Promise<string | undefined> =>
    file === undefined ? undefined : (await readFile(file, 'utf8')).trim();
  const service = { url: new URL(url), ca: await read(caFile), token: await read(tokenFile), insecure };
  const items = at(await getJson(service, '/pods'), 'items');
  return Array.isArray(items) ? items : [];
}

function factsOf(
  pods: readonly unknown[],
  own: { readonly uid: string; readonly container: string },
): Seen | undefined {
  const pod = pods.find((each) => textAt(each, 'metadata', 'uid') === own.uid);
  if (pod === undefined) return undefined;
  const statuses = ['containerStatuses', 'initContainerStatuses', 'ephemeralContainerStatuses'].flatMap((kind) => {
    const list = at(pod, 'status', kind);
    return Array.isArray(list) ? (list as readonly unknown[]) : [];
  });
  // `containerd://<id>`.
  const container = statuses.find((each) => textAt(each, 'containerID')?.endsWith(`//${own.container}`));
  if (container === undefined) return undefined;
  const digest = /@(sha256:[0-9a-f]{64})$/.exec(textAt(container, 'imageID') ?? '')?.[1];
  const facts: Record<string, readonly string[] | undefined> = {
    'k8s:namespace': one(textAt(pod, 'metadata', 'namespace')),
    'k8s:service_account': one(textAt(pod, 'spec', 'serviceAccountName')),
    'k8s:pod': one(textAt(pod, 'metadata', 'name')),
    'k8s:pod_uid': [own.uid],
    'k8s:node': one(textAt(pod, 'spec', 'nodeName')),
    'k8s:container': one(textAt(container, 'name')),
    'container:image': one(textAt(container, 'image')),
    'container:image_digest': one(digest),
    ...labelFacts('k8s:label/', at(pod, 'metadata', 'labels')),
  };
  return {
    facts: Object.fromEntries(Object.entries(facts).filter(([, value]) => value !== undefined)) as Seen['facts'],
    notes: [],
  };
}

function one(value: string | undefined): readonly string[] | undefined {
  return value === undefined ? undefined : [value];
}
