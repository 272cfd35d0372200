import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import type { ExecutionContext } from 'ava';
import type { ResultRow } from '../../src/publisher/row.js';
import type { Simulator } from '../simulator/index.js';
import { BLOCK_BYTES } from '../simulator/state.js';
import { attach, run } from './ext4-fixture.js';
import type { Shop } from './publish-fixture.js';

/** What images were published from, and to. */
interface Published {
  shop: Pick<Shop, 'path'>;
  simulator: Simulator;
}

/** Makes a file of what the simulator holds of the disk of an image, and returns its path. */
function rebuildDisk({ shop, simulator }: Published, row: ResultRow): string {
  const { world } = simulator;
  const place = world.place(row.AccountId!, row.Region);
  const snapshot = place.snapshots.get(place.images.get(row.AmiId!)!.snapshotId)!;
  const path = shop.path(`${row.AccountId!}-${row.Region}`);
  const file = openSync(path, 'w');
  ftruncateSync(file, row.DiskSize);
  for (const [number, digest] of world.contentOf(snapshot)) {
    const length = Math.min(BLOCK_BYTES, row.DiskSize! - number * BLOCK_BYTES);
    writeSync(file, world.blocks.get(digest)!, 0, length, number * BLOCK_BYTES);
  }
  closeSync(file);
  return path;
}

/** That the disk of an image, made of what the simulator holds, is exactly that image. Returns the path of its file. */
export function checkDisk(t: ExecutionContext, it: Published, row: ResultRow): string {
  const { shop } = it;
  const path = rebuildDisk(it, row);
  const where = ['--store', shop.path('store'), '--image', row.ImageName, '--state-dir', shop.path('other')];
  const checked = run('bin/image-unpacker', 'check', '--device', attach(t, path), ...where, '--json');
  t.like(JSON.parse(checked), { identical: true });
  return path;
}
