import type { DiskMap } from '../../image/disk-map.js';
import { digestsOfBlocks, DISK_BLOCK_SIZE } from '../../image/disk-map.js';
import { ImageUnpackerError, throwIfAborted } from '../../image/error.js';
import type { AwsSession } from './session.js';

/** What is sent, and where to. */
export interface Sending {
  readonly snapshotId: string;
  /** Blocks by number, ascending, and what they hold, in the same order. */
  readonly numbers: readonly number[];
  readonly blocks: AsyncIterable<Buffer>;
  /** Of the disk that they are of. */
  readonly map: DiskMap;
  readonly signal?: AbortSignal | undefined;
  /** Told each block that AWS has. */
  readonly onSent: (number: number) => void;
}

/**
 * Sends blocks, many at once; resolves when AWS has all of them. Memory is bounded by those on their way. Throws
 * `INTERNAL` when there are fewer than said.
 */
export function sendBlocks(session: AwsSession, sending: Sending): Promise<void> {
  return session.sending.sending(() => sendAll(session, sending));
}

async function sendAll(session: AwsSession, sending: Sending): Promise<void> {
  const { numbers, blocks, map, signal } = sending;
  const digests = digestsOfBlocks(map, numbers);
  const stop = new AbortController();
  const both = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
  const onTheWay = new Set<Promise<void>>();
  let failed: { reason: unknown } | undefined;
  let at = 0;
  try {
    for await (const block of numbers.length === 0 ? [] : blocks) {
      if (failed !== undefined) throw failed.reason;
      throwIfAborted(signal);
      const digest = digests.next();
      const number = numbers[at++];
      if (number === undefined || digest.done === true) throw ended('more', numbers.length);
      const put = putBlock(session, sending, { number, digest: digest.value, block }, both).then(
        () => sending.onSent(number),
        (reason: unknown) => {
          failed ??= { reason };
        },
      );
      const one = put.finally(() => onTheWay.delete(one));
      onTheWay.add(one);
      if (onTheWay.size >= session.sending.atHand) await Promise.race(onTheWay);
    }
    if (at < numbers.length) throw ended('fewer', numbers.length);
  } catch (reason) {
    failed ??= { reason };
    stop.abort();
  }
  await Promise.all(onTheWay);
  if (failed !== undefined) throw failed.reason;
}

async function putBlock(
  session: AwsSession,
  { snapshotId }: Sending,
  { number, digest, block }: { number: number; digest: Buffer; block: Buffer },
  signal: AbortSignal,
): Promise<void> {
  const input = {
    SnapshotId: snapshotId,
    BlockIndex: number,
    BlockData: block,
    DataLength: DISK_BLOCK_SIZE,
    // EBS compares it with what has arrived; hashing it here for each target would cost as much as sending it.
    Checksum: digest.toString('base64'),
    ChecksumAlgorithm: 'SHA256' as const,
  };
  // A snapshot that was started just now may not be known everywhere yet.
  await session.call('PutSnapshotBlock', input, { signal, retryMissing: true });
}

function ended(what: string, wanted: number): ImageUnpackerError {
  return new ImageUnpackerError(
    'INTERNAL',
    `The disk gave ${what} blocks than the ${String(wanted)} asked for`,
  );
}
