import { TAG } from '../cloud/cloud.js';
import { throwIfAborted } from '../image/error.js';
import { makeOpenTarget, withTarget } from './open-target.js';
import type { TargetsOptions } from './options.js';
import type { TargetRow } from './row.js';
import { errorColumns, rowOf } from './row.js';

/** The streams that have images in some targets. */
export interface StreamList {
  /** Ordered by their names, numbers in them by their value. */
  readonly streams: readonly string[];
  /** The targets that could be looked at. */
  readonly targets: readonly string[];
  readonly errors: readonly TargetRow[];
}

/** Lists the streams that have images in the targets. Throws `CANCELLED`. */
export async function listStreams(options: TargetsOptions): Promise<StreamList> {
  const { targets, signal, openTarget: open = makeOpenTarget(), now = () => new Date() } = options;
  const streams = new Set<string>();
  const lookedAt: string[] = [];
  const errors: TargetRow[] = [];
  await Promise.all(
    targets.map(async target => {
      try {
        const images = await withTarget(target, { write: false, now, signal, open }, cloud =>
          cloud.images({}, { signal }),
        );
        for (const { tags } of images) {
          const stream = tags[TAG.stream];
          if (stream !== undefined) streams.add(stream);
        }
        lookedAt.push(target.name);
      } catch (reason) {
        const error = errorColumns(reason, `Listing the streams of ${target.name} failed`);
        errors.push({ ...rowOf(target), ...error });
      }
    }),
  );
  throwIfAborted(signal);
  const order = new Intl.Collator('en', { numeric: true });
  return { streams: [...streams].sort((a, b) => order.compare(a, b)), targets: lookedAt, errors };
}
