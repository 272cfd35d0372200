import type { Difference } from '../image/plan.js';
import type { BootFacts } from './boot/options.js';
import type { CurrentTree, ScanKind } from './current-tree.js';
import type { OpenVolume } from './open-volume.js';
import type { WantedVolume } from './plan-volume.js';
import type { StageSeconds } from './stage-clock.js';
import type { ImageReference } from './volume-record.js';
import type { Written } from './written-blocks.js';

/** What was done; the keys are those that `apply --json` prints. */
export interface ApplyResult {
  image: string;
  digest: string;
  from: string | null;
  scan: ScanKind;
  entries: { added: number; removed: number; changed: number; unchanged: number };
  bytesFetched: number;
  bytesWritten: number;
  blocksWritten: number | null;
  /** Whether what is in no use is known to be zeros, as it was asked to be. */
  scrubbed: boolean;
  generated: string[];
  /** How the volume boots; null when it does not. */
  boot: BootFacts | null;
  /** What was not as it should be and was put right, or is to be known. */
  warnings: string[];
  seconds: StageSeconds;
}

/** What is known of work that is done. */
export interface DoneWork {
  image: ImageReference;
  wanted: WantedVolume;
  /** What was on the volume before. */
  current: CurrentTree;
  volume: OpenVolume;
  bytesFetched: number;
  written: Written;
  scrubbed: boolean;
  seconds: StageSeconds;
}

/** Sums up work that made a volume the image by that difference. */
export function applyResult({ changes }: Difference, done: DoneWork): ApplyResult {
  const { image, wanted, current, volume, bytesFetched, written, scrubbed, seconds } = done;
  const added = changes.filter(({ have }) => have === undefined).length;
  const removed = changes.filter(({ want }) => want === undefined).length;
  const changed = changes.length - added - removed;
  const unchanged = wanted.tree.manifest.index.entries - added - changed;
  const repaired = volume.torn.map(what => `${what} of ${volume.path} was damaged and has been put right`);
  return {
    image: image.name,
    digest: image.digest,
    from: current.from?.name ?? null,
    scan: current.scan,
    entries: { added, removed, changed, unchanged },
    bytesFetched,
    bytesWritten: written.bytes,
    blocksWritten: written.blocks,
    scrubbed,
    generated: wanted.generated,
    boot: wanted.facts,
    warnings: [...repaired, ...wanted.warnings],
    seconds,
  };
}
