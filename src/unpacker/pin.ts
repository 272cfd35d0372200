import { ImageUnpackerError } from '../image/error.js';
import { findUse } from '../volume/device-use.js';
import type { StreamRecord, StreamVolume } from './agent-state.js';
import { findDevice, type FoundDevice } from './block-devices.js';
import { pinnedPaths } from './list-devices.js';
import { nameOf } from './stream-volume.js';

/**
 * The volume that a stream has when it is pinned to a device. Throws `DEVICE_*` when the device is not one to be
 * used, and `VOLUME_DIFFERENT` when the stream has another volume already.
 */
export async function pinnable(
  stream: string,
  given: string,
  records: readonly StreamRecord[],
): Promise<StreamVolume> {
  const device = await findDevice(given);
  const pinned = await pinnedPaths(records);
  const owner = pinned.get(device.path);
  const current = records.find(record => record.stream === stream);
  if (current !== undefined && owner !== stream) {
    const what = `The stream ${stream} has another volume, ${nameOf(current.volume)}; forget the stream first`;
    throw new ImageUnpackerError('VOLUME_DIFFERENT', what, { device: nameOf(current.volume) });
  }
  if (owner !== undefined && owner !== stream) {
    throw refused('DEVICE_IN_USE', given, `is pinned to the stream ${owner}; forget that first`);
  }
  await checkUsable(given, device);
  return { kind: 'device', id: device.id, size: device.size };
}

async function checkUsable(given: string, device: FoundDevice): Promise<void> {
  if (device.size === 0) throw refused('DEVICE_MISSING', given, 'has nothing attached to it');
  if (device.readOnly) throw refused('DEVICE_READ_ONLY', given, 'is read-only');
  const use = await findUse(device.path);
  if (use !== undefined) throw refused(use.system ? 'DEVICE_SYSTEM' : 'DEVICE_IN_USE', given, use.reason);
}

function refused(code: ImageUnpackerError['code'], device: string, what: string): ImageUnpackerError {
  return new ImageUnpackerError(code, `${device} ${what}`, { device });
}
