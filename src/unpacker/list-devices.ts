import type { DeviceStatus } from '../rpc/unpacker.js';
import { findUse } from '../volume/device-use.js';
import type { StreamRecord } from './agent-state.js';
import type { DevicePlaces, FoundDevice } from './block-devices.js';
import { devicesOf, listDisks, SYSTEM_PLACES } from './block-devices.js';

/** The disks of this machine, the streams that are pinned to them, and why they cannot be used if so. */
export async function listDevices(records: readonly StreamRecord[]): Promise<DeviceStatus[]> {
  const pinned = await pinnedPaths(records);
  return Promise.all(
    (await listDisks()).map(async device => ({
      id: device.id.name,
      path: device.path,
      size: device.size,
      stream: pinned.get(device.path) ?? null,
      unusable: await whyUnusable(device),
    })),
  );
}

/** Why a device cannot hold a volume, null when it can. One of which that cannot be found out cannot either. */
export async function whyUnusable({ path, readOnly }: FoundDevice): Promise<string | null> {
  if (readOnly) return 'is read-only';
  try {
    return (await findUse(path))?.reason ?? null;
  } catch (reason) {
    return `cannot be examined: ${reason instanceof Error ? reason.message : String(reason)}`;
  }
}

/** The stream by the path of each device that is known as the one that it is pinned to. */
export async function pinnedPaths(
  records: readonly StreamRecord[],
  places: DevicePlaces = SYSTEM_PLACES,
): Promise<Map<string, string>> {
  const pinned = new Map<string, string>();
  for (const { stream, volume } of records) {
    if (volume.kind !== 'device') continue;
    for (const { path } of await devicesOf(volume.id, places)) pinned.set(path, stream);
  }
  return pinned;
}
