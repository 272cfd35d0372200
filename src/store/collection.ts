import type { ProgressSink } from '../image/progress.js';

export interface CollectOptions {
  /** Whether to delete nothing and only count. */
  dryRun: boolean;
  progress: ProgressSink;
  signal?: AbortSignal | undefined;
}

/** What a collection found; sizes in bytes. */
export interface Collection {
  images: number;
  keptObjects: number;
  keptBytes: number;
  /** Those that are needed by no image and were deleted, or would be. */
  removedObjects: number;
  removedBytes: number;
  /** Those that are needed by no image, and stay for now: somebody may be reading or storing them. */
  heldObjects: number;
  heldBytes: number;
}
