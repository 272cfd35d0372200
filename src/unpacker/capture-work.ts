import type { Writable } from 'node:stream';
import { encodeDiskMap } from '../image/disk-map.js';
import { ImageUnpackerError } from '../image/error.js';
import type { ProgressSink } from '../image/progress.js';
import { CleanDisk } from '../volume/capture/clean-disk.js';
import type { BlockDevice } from '../volume/device.js';
import { nameDevice } from '../volume/ext4/device-reader.js';
import { OpenVolume } from '../volume/open-volume.js';
import type { CleanVolume } from '../volume/require-clean.js';
import { requireClean } from '../volume/require-clean.js';
import { StateDirectory } from '../volume/state-directory.js';
import { writeFrame } from './frames.js';
import type { Orders } from './orders.js';
import { withVolume } from './volume-place.js';
import type { CaptureWork } from './work.js';

/** What a capture is done with. */
export interface CaptureMeans {
  teller: ProgressSink;
  signal: AbortSignal;
  /** Where the map and the blocks go. */
  frames: Writable;
  orders: Orders;
}

/** Holds a volume and sends its disk map, then the blocks that are asked for, until it is released. */
export async function runCapture(work: CaptureWork, means: CaptureMeans): Promise<void> {
  const { signal } = means;
  await withVolume(work.volume, 0n, async path => {
    const volume = await OpenVolume.open({ device: path, write: false, signal });
    try {
      const { disk } = await checkImage(work, volume.device);
      await serve(await CleanDisk.open(volume, disk, signal), means);
    } catch (reason) {
      throw nameDevice(reason, path);
    } finally {
      await volume.close();
    }
  });
}

async function checkImage(
  { stateDirectory, digest }: CaptureWork,
  device: BlockDevice,
): Promise<CleanVolume> {
  const known = await requireClean(StateDirectory.inherited(stateDirectory), device);
  const { image } = known;
  if (image.digest === digest) return known;
  throw new ImageUnpackerError(
    'VOLUME_DIFFERENT',
    `The volume on ${device.path} is the image ${image.name}, not the one that is to be captured; unpack that first`,
    { image: image.name, device: device.path, digest },
  );
}

async function serve(disk: CleanDisk, { teller, signal, frames, orders }: CaptureMeans): Promise<void> {
  await writeFrame(frames, encodeDiskMap(await disk.copy(undefined, { signal, progress: teller })));
  for (let order = await orders.next(); order.kind !== 'release'; order = await orders.next()) {
    if (order.kind !== 'blocks') continue;
    for await (const block of disk.blocks(order.numbers, signal)) await writeFrame(frames, block);
  }
}
