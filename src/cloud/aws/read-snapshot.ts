import { createHash } from 'node:crypto';
import { DISK_BLOCK_SIZE, diskBlocks, ZERO_BLOCK_DIGEST } from '../../image/disk-map.js';
import type { DiskMap } from '../../image/disk-map.js';
import { ImageUnpackerError, throwIfAborted } from '../../image/error.js';
import type { CloudCallOptions } from '../cloud.js';
import type { AwsSession } from './session.js';

const AT_ONCE = 32;
const PAGE = 1000;

/** Reads all blocks of a snapshot that it has, and makes the map of the disk. Throws `VOLUME_DAMAGED`. */
export async function readSnapshot(
  session: AwsSession,
  snapshotId: string,
  size: bigint,
  { signal, onProgress }: CloudCallOptions,
): Promise<DiskMap> {
  const total = Number(size);
  const digests = new Map<number, Buffer | undefined>();
  let token: string | undefined;
  do {
    const input = { SnapshotId: snapshotId, MaxResults: PAGE, NextToken: token };
    // A snapshot can be read only some time after it is complete.
    const page = await session.call('ListSnapshotBlocks', input, { signal, retryMissing: true });
    const blocks = (page.Blocks ?? []).filter(({ BlockToken }) => BlockToken !== undefined);
    for (let at = 0; at < blocks.length; at += AT_ONCE) {
      throwIfAborted(signal);
      await Promise.all(
        blocks.slice(at, at + AT_ONCE).map(async ({ BlockIndex = -1, BlockToken }) => {
          digests.set(BlockIndex, await readBlock(session, snapshotId, BlockIndex, BlockToken!, signal));
        }),
      );
      const last = blocks[Math.min(at + AT_ONCE, blocks.length) - 1]?.BlockIndex ?? 0;
      onProgress?.(Math.min((last + 1) * DISK_BLOCK_SIZE, total), total);
    }
    token = page.NextToken;
  } while (token !== undefined && token !== '');
  const beyond = [...digests.keys()].find(number => number < 0 || number >= diskBlocks(size));
  if (beyond !== undefined) {
    const message = `The snapshot ${snapshotId} has a block ${String(beyond)}, beyond the end of its disk`;
    throw new ImageUnpackerError('VOLUME_DAMAGED', message);
  }
  return mapOf(size, digests);
}

async function readBlock(
  session: AwsSession,
  snapshotId: string,
  number: number,
  token: string,
  signal: AbortSignal | undefined,
): Promise<Buffer | undefined> {
  const input = { SnapshotId: snapshotId, BlockIndex: number, BlockToken: token };
  const { bytes, checksum } = await session.callAndTake(
    'GetSnapshotBlock',
    input,
    async ({ BlockData, Checksum }) => ({
      bytes: await BlockData?.transformToByteArray(),
      checksum: Checksum,
    }),
    { signal },
  );
  const digest = createHash('sha256')
    .update(bytes ?? Buffer.alloc(0))
    .digest();
  if (
    bytes?.length !== DISK_BLOCK_SIZE ||
    (checksum !== undefined && digest.toString('base64') !== checksum)
  ) {
    const message = `The block ${String(number)} of the snapshot ${snapshotId} is not what its checksum says`;
    throw new ImageUnpackerError('VOLUME_DAMAGED', message);
  }
  return digest.equals(ZERO_BLOCK_DIGEST) ? undefined : digest;
}

function mapOf(size: bigint, digests: ReadonlyMap<number, Buffer | undefined>): DiskMap {
  const present = Buffer.alloc(Math.ceil(diskBlocks(size) / 8));
  const used = [...digests].filter((each): each is [number, Buffer] => each[1] !== undefined);
  used.sort(([a], [b]) => a - b);
  for (const [number] of used) present[number >>> 3]! |= 1 << (number & 7);
  return { size, present, digests: Buffer.concat(used.map(([, digest]) => digest)) };
}
