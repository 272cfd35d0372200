import type { DeviceStatus } from '../rpc/unpacker.js';
import { findUse } from '../volume/device-use.js';
import type { StreamRecord } from './agent-state.js';
import type { FoundDevice } from './block-devices.js';
import { deviceOf, listDisks } from './block-devices.js';

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

/** Why a device cannot hold a volume, null when it can. */
export async function whyUnusable({ path, readOnly }: FoundDevice): Promise<string | null> {
  if (readOnly) return 'is read-only';
  const use = await findUse(path).catch(() => undefined);
  return use?.reason ?? null;
}

/** The stream by the path of the device that it is pinned to, for the devices that are there. */
export async function pinnedPaths(records: readonly StreamRecord[]): Promise<Map<string, string>> {
  const pinned = new Map<string, string>();
  for (const { stream, volume } of records) {
    if (volume.kind !== 'device') continue;
    const device = await deviceOf(volume.id).catch(() => undefined);
    if (device !== undefined) pinned.set(device.path, stream);
  }
  return pinned;
}
