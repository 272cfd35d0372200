import type { DiskMap } from '../../image/disk-map.js';
import { changedBlocks } from '../../image/disk-map.js';

/** How long EBS takes from `completed` until a snapshot can be a parent: 5 to 67 s were seen. */
export const READY_SECONDS = 60;
/** So many blocks are sent in a second, if nothing is in the way. */
const BLOCKS_PER_SECOND = 300;

/** A snapshot that a disk can be made from. */
export interface ParentCandidate {
  readonly snapshotId: string;
  readonly digest: string;
  readonly map: DiskMap;
  /** Milliseconds since 1970 at which it was complete. */
  readonly completedAt: number;
}

/** What is done about the parent of a disk. */
export interface ParentChoice {
  readonly candidate: ParentCandidate;
  /** How long to wait at most before it is tried. */
  readonly waitSeconds: number;
}

/**
 * The order in which parents are tried: that first with which the disk is there soonest, the wait until it can be a
 * parent and the sending of what differs from it taken together. Those that can be tried at once come before those
 * that are waited for only if they are not slower.
 */
export function orderParents(
  map: DiskMap,
  candidates: readonly ParentCandidate[],
  now: number,
): ParentChoice[] {
  return candidates
    .map(candidate => {
      const age = Math.max(0, now - candidate.completedAt) / 1000;
      const waitSeconds = Math.max(0, READY_SECONDS - age);
      const seconds = waitSeconds + changedBlocks(map, candidate.map).length / BLOCKS_PER_SECOND;
      return { choice: { candidate, waitSeconds }, seconds };
    })
    .sort((a, b) => a.seconds - b.seconds)
    .map(({ choice }) => choice);
}
