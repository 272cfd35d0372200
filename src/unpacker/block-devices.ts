import { readdir, readFile, readlink, realpath, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { ImageUnpackerError } from '../image/error.js';

/*
 * The block devices of this machine, and what they are known by. A name that the kernel gives out anew at each
 * start (nvme1n1) says nothing about which disk it is, so a device is known by its serial number (for an EBS volume
 * the volume's id) if it has one, else by a name in /dev/disk/by-id, else by the very path that a person gave.
 */

/** Where the kernel tells of devices. */
export interface DevicePlaces {
  sys: string;
  dev: string;
}

export const SYSTEM_PLACES: DevicePlaces = { sys: '/sys', dev: '/dev' };

const SECTOR_BYTES = 512;

/** What a device is known by. */
export interface DeviceId {
  kind: 'serial' | 'by-id' | 'path';
  name: string;
}

/** A block device that is there. */
export interface FoundDevice {
  /** The kernel's node. */
  path: string;
  /** In bytes. */
  size: number;
  readOnly: boolean;
  id: DeviceId;
}

/** All disks that have a size. */
export async function listDisks(places: DevicePlaces = SYSTEM_PLACES): Promise<FoundDevice[]> {
  const links = await linksById(places);
  const found: FoundDevice[] = [];
  for (const name of (await readdir(join(places.sys, 'block')).catch(() => [])).sort()) {
    const device = await describe(places, links, name, join(places.dev, name));
    if (device !== undefined && device.size > 0) found.push(device);
  }
  return found;
}

/** The device that a person means: by path, by serial number, or by a name in /dev/disk/by-id. */
export async function findDevice(given: string, places: DevicePlaces = SYSTEM_PLACES): Promise<FoundDevice> {
  if (given.startsWith('/')) return byPath(given, places);
  const bySerial = (await listDisks(places)).filter(({ id }) => id.kind === 'serial' && id.name === given);
  if (bySerial.length > 0) return only(bySerial, given);
  const link = join(places.dev, 'disk/by-id', given);
  if (!given.includes('/') && (await stat(link).catch(() => undefined)) !== undefined)
    return byPath(link, places);
  throw missing(given, 'give its path, its serial number or its name in /dev/disk/by-id');
}

/** The device that is known by `id`. Throws `DEVICE_MISSING` when it is not there, `DEVICE_FAILED` when several are. */
export async function deviceOf(id: DeviceId, places: DevicePlaces = SYSTEM_PLACES): Promise<FoundDevice> {
  const found = await devicesOf(id, places);
  if (found.length === 0) throw missing(id.name, 'attach it again, or forget the stream');
  return only(found, id.name);
}

/**
 * All devices that are known by `id`: none when it is not there or has nothing attached to it, several when a
 * serial number is not unique.
 */
export async function devicesOf(id: DeviceId, places: DevicePlaces = SYSTEM_PLACES): Promise<FoundDevice[]> {
  if (id.kind === 'serial') {
    return (await listDisks(places)).filter(
      device => device.id.kind === 'serial' && device.id.name === id.name,
    );
  }
  const path = id.kind === 'path' ? id.name : join(places.dev, 'disk/by-id', id.name);
  try {
    const device = await byPath(path, places);
    if (device.size === 0) return [];
    return [id.kind === 'path' ? { ...device, id } : device];
  } catch (reason) {
    const isGone =
      reason instanceof ImageUnpackerError && ['DEVICE_MISSING', 'DEVICE_NOT_BLOCK'].includes(reason.code);
    if (isGone) return [];
    throw reason;
  }
}

function only(found: readonly FoundDevice[], name: string): FoundDevice {
  if (found.length === 1) return found[0]!;
  const paths = found.map(({ path }) => path).join(' and ');
  throw new ImageUnpackerError(
    'DEVICE_FAILED',
    `${paths} have the same serial number ${name}; detach all but one`,
  );
}

async function byPath(given: string, places: DevicePlaces): Promise<FoundDevice> {
  const path = await realpath(given).catch(() => undefined);
  const node = path === undefined ? undefined : await stat(path).catch(() => undefined);
  if (path === undefined || node === undefined) throw missing(given, 'attach it, or name another');
  if (node.isBlockDevice()) {
    const device = await describe(places, await linksById(places), basename(path), given);
    if (device !== undefined) return { ...device, path };
  }
  const message = `${given} is not a block device; attach a file with losetup first`;
  throw new ImageUnpackerError('DEVICE_NOT_BLOCK', message, { device: given });
}

async function describe(
  { sys, dev }: DevicePlaces,
  links: ReadonlyMap<string, string>,
  name: string,
  given: string,
): Promise<FoundDevice | undefined> {
  const directory = join(sys, 'class/block', name);
  const sectors = await readText(join(directory, 'size'));
  if (sectors === undefined) return undefined;
  // A partition's serial number would be that of its disk.
  const partition = await readText(join(directory, 'partition'));
  const serial = partition === undefined ? await serialOf(directory) : undefined;
  const link = links.get(name);
  let id: DeviceId = { kind: 'path', name: given };
  if (serial !== undefined) id = { kind: 'serial', name: serial };
  else if (link !== undefined) id = { kind: 'by-id', name: link };
  const readOnly = (await readText(join(directory, 'ro'))) === '1';
  return { path: join(dev, name), size: Number(sectors) * SECTOR_BYTES, readOnly, id };
}

/** NVMe and SCSI have it with the device, virtio with the disk. */
async function serialOf(directory: string): Promise<string | undefined> {
  for (const file of ['device/serial', 'serial']) {
    const serial = await readText(join(directory, file));
    if (serial !== undefined && serial !== '') return serial;
  }
  return undefined;
}

async function readText(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').then(
    text => text.trim(),
    () => undefined,
  );
}

/** For each kernel name the first of its names in /dev/disk/by-id. */
async function linksById({ dev }: DevicePlaces): Promise<Map<string, string>> {
  const directory = join(dev, 'disk/by-id');
  const links = new Map<string, string>();
  for (const link of (await readdir(directory).catch(() => [])).sort()) {
    const target = await readlink(join(directory, link)).catch(() => undefined);
    if (target !== undefined && !links.has(basename(target))) links.set(basename(target), link);
  }
  return links;
}

function missing(device: string, remedy: string): ImageUnpackerError {
  return new ImageUnpackerError('DEVICE_MISSING', `The device ${device} is not there; ${remedy}`, { device });
}
