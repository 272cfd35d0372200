/** How many blocks are on their way at once, which takes memory: 512 KiB each, in a connection of its own. */
export interface Parallelism {
  /** To one snapshot, which takes 1000 blocks a second at most (EBS direct). */
  readonly perSnapshot: number;
  /** To all snapshots of a command together. */
  readonly together: number;
}

/** `npm run bench -- parallel` compares it with more and with less. */
export const PARALLELISM: Parallelism = { perSnapshot: 32, together: 64 };
