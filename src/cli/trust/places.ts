import { browserPlaces } from './browser.ts';
import { javaPlaces } from './java.ts';
import { nodePlaces } from './node.ts';
import type { Machine, Place, StoreName } from './place.ts';
import { pythonPlaces } from './python.ts';
import { systemPlaces } from './system.ts';

const FINDERS: Readonly<Record<StoreName, (machine: Machine) => Promise<Place[]>>> = {
  system: systemPlaces,
  java: javaPlaces,
  node: nodePlaces,
  python: pythonPlaces,
  browser: browserPlaces,
};

/** All places of some stores on this machine. */
export async function placesOf(stores: readonly StoreName[], machine: Machine): Promise<Place[]> {
  return (await Promise.all(stores.map((store) => FINDERS[store](machine)))).flat();
}
