import { ImageUnpackerError } from '../image/error.js';
import { putMany } from '../store/put-many.js';
import type { BodyReader } from '../store/remote/frames.js';
import { MAX_BATCH_OBJECTS, readSent } from '../store/remote/frames.js';
import type { SmallObject } from '../store/store.js';
import type { DamageControl } from './damage.js';
import type { DemandedContent } from './demanded-content.js';
import type { Lease } from './held-store.js';
import type { Statistics } from './statistics.js';

/** So much is held for one caller, with the bytes of one object more: there may be many callers. */
const TOGETHER_BYTES = 1 << 20;
const TOGETHER_OBJECTS = 512;

/** What objects are taken with. */
export interface TakeContext {
  damage: DamageControl;
  /** Compares what is sent with what is here, if that is wanted. */
  demanded: DemandedContent | undefined;
  statistics: Statistics;
}

/**
 * Stores the small objects of a body (store/remote/frames.ts); resolves to which of them were not there, as a byte each.
 * Throws `USAGE` for one that has another digest than is said; those before it are stored. Throws
 * `CONTENT_COLLISION` where content is demanded.
 */
export async function takeObjects(
  reader: BodyReader,
  lease: Lease,
  { damage, demanded, statistics }: TakeContext,
): Promise<Buffer> {
  const added: boolean[] = [];
  for (;;) {
    const objects = await readSome(reader);
    if (objects.length === 0) return Buffer.from(added.map(Number));
    if (added.length + objects.length > MAX_BATCH_OBJECTS) {
      const message = `More than ${String(MAX_BATCH_OBJECTS)} objects were sent at once`;
      throw new ImageUnpackerError('USAGE', message);
    }
    added.push(...(await (demanded?.putMany(lease, objects) ?? putMany(lease.store, objects))));
    for (const { digest, bytes } of objects) {
      damage.mended(digest);
      statistics.objectsReceived++;
      statistics.bytesReceived += bytes.length;
    }
  }
}

async function readSome(reader: BodyReader): Promise<SmallObject[]> {
  const objects: SmallObject[] = [];
  for (let bytes = 0; objects.length < TOGETHER_OBJECTS && bytes < TOGETHER_BYTES;) {
    const sent = await readSent(reader);
    if (sent === undefined) break;
    objects.push(sent);
    bytes += sent.bytes.length;
  }
  return objects;
}
