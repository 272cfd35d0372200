import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Entry, InodeEntry } from '../../src/image/entry.js';
import { BLOCK_SIZE } from '../../src/image/entry.js';
import { LOST_AND_FOUND } from '../../src/image/ext4-limits.js';
import { isBelow } from '../../src/image/path.js';
import { isNativeError, scanDevice } from '../../src/native.js';
import type { ScanRecord } from '../../src/source/scan.js';
import { decodeScan } from '../../src/source/scan.js';
import { refuseDamage } from '../../src/volume/ext4/damage.js';
import { readTree } from '../../src/volume/ext4/tree.js';
import { openVolume } from '../../src/volume/ext4/volume.js';
import { change, examine, EXT4_CODES, makeImage, readerOf } from './ext4-image.js';
import type { Random } from './random.js';
import type { Cases, Target } from './target.js';
import { accepts, must } from './target.js';

/** The same file system, damaged the same way, as the addon scans it; what it finds the other reader finds as well. */
export const ext4ScanTarget: Target = {
  name: 'scan of ext4',
  prepare: async directory => {
    const image = makeImage(directory);
    const sound = await examine(image);
    const path = join(directory, 'device');
    writeFileSync(path, image);
    return {
      attempt: async (random: Random) => {
        const changed = new Map<number, Buffer>();
        for (let count = 1 + random.below(3); count > 0; count--) change(image, sound, random, changed);
        const device = openSync(path, 'r+');
        const write = (): void => {
          for (const number of changed.keys())
            writeSync(device, image, number * BLOCK_SIZE, BLOCK_SIZE, number * BLOCK_SIZE);
        };
        try {
          write();
          const found = await scanned(device);
          if (found !== undefined) await compare(found, image);
          return found !== undefined;
        } finally {
          for (const [block, before] of changed) before.copy(image, block * BLOCK_SIZE);
          write();
          closeSync(device);
        }
      },
    } satisfies Cases;
  },
};

/** What a scan finds by path; undefined if it refuses. */
async function scanned(device: number): Promise<ScanRecord[] | undefined> {
  try {
    return [...decodeScan(await scanDevice(device, {}))].filter(({ path }) => !isOwn(path));
  } catch (reason) {
    if (isNativeError(reason) && reason.code === 'EUCLEAN') return undefined;
    throw reason;
  }
}

/** Compares with what the reader in TypeScript finds, if it finds anything: it looks at more, and refuses more. */
async function compare(found: readonly ScanRecord[], image: Buffer): Promise<void> {
  const entries: Entry[] = [];
  const read = async (): Promise<void> => {
    const volume = await openVolume(readerOf(image), refuseDamage);
    entries.push(...(await readTree(volume)).entries);
  };
  if (!(await accepts(EXT4_CODES, read))) return;
  const others = entries.filter(({ path }) => !isOwn(path));
  must(found.length === others.length, 'another reader finds more, or less');
  for (const [at, entry] of others.entries()) {
    const record = found[at]!;
    must(record.path.equals(entry.path), 'another reader finds other names');
    if (entry.type !== 'link') must(isSame(record, entry), 'another reader finds another inode');
  }
}

function isSame(record: ScanRecord, entry: InodeEntry): boolean {
  return (
    record.type === entry.type &&
    record.mode === entry.mode &&
    record.uid === entry.uid &&
    record.gid === entry.gid &&
    record.mtime === entry.mtime &&
    (entry.type !== 'file' || record.size === entry.size)
  );
}

/** Whether a path is of the file system's own. */
function isOwn(path: Buffer): boolean {
  return path.equals(LOST_AND_FOUND) || isBelow(path, LOST_AND_FOUND);
}
