import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { syncDirectory } from '../durable.js';
import { noteDamage } from './damaged-object.js';
import { DAMAGED, isObject, OBJECTS, SHARDS } from './layout.js';
import { LocalObjects } from './objects.js';

/** The clock of files is coarser than that of programs. */
const COARSE_MILLISECONDS = 1000;

/** Reads the objects that were stored since `began` (milliseconds since 1970), and notes durably which are damaged. */
export async function noteDamageSince(location: string, began: number): Promise<void> {
  const objects = new LocalObjects(location);
  const directory = await objects.openDirectory();
  try {
    const stored = await storedSince(location, began - COARSE_MILLISECONDS);
    const { faults } = await objects.check(directory.fd, stored, false, {});
    if (faults.length === 0) return;
    await noteDamage(
      location,
      faults.map(({ digest }) => digest),
    );
    await syncDirectory(join(location, DAMAGED));
    await syncDirectory(location);
  } finally {
    await directory.close();
  }
}

async function storedSince(location: string, time: number): Promise<Buffer[]> {
  const stored: Buffer[] = [];
  for (const shard of SHARDS) {
    const directory = join(location, OBJECTS, shard);
    for (const file of await readdir(directory, { withFileTypes: true })) {
      if (!isObject(file, shard)) continue;
      const { ctimeMs } = await lstat(join(directory, file.name));
      if (ctimeMs >= time) stored.push(Buffer.from(file.name, 'hex'));
    }
  }
  return stored;
}
