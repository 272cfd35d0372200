import { readdir, readFile, readlink, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** What a device is used for. */
export interface Use {
  reason: string;
  /** It holds the system that runs here. */
  system: boolean;
}

/** Mount points that make a disk the machine's own. */
const SYSTEM_MOUNTS: ReadonlySet<string> = new Set(['/', '/boot', '/boot/efi', '/usr', '/var', '/home']);

/**
 * What the block device at `path`, a partition of it, or the disk that it is a partition of, is used for;
 * undefined when nothing can be seen.
 */
export async function findUse(path: string): Promise<Use | undefined> {
  const own = deviceNumber((await stat(path)).rdev);
  const whole = await diskOf(own);
  const disks = new Map<string, string>([
    [own, 'is'],
    ...(await partitionsOf(own)).map(number => [number, 'has a partition that is'] as const),
  ]);
  const mounts = await mountedDevices();
  // A disk that the system runs from is not touched in any part: its partitions are not ours.
  const systemDisk = mounts.find(({ number, point }) => SYSTEM_MOUNTS.has(point) && number === whole);
  for (const { number, point } of mounts) {
    const role = disks.get(number);
    if (role === undefined) continue;
    if (SYSTEM_MOUNTS.has(point))
      return { system: true, reason: `${role} mounted at ${point}: it is the machine's own disk` };
    return { system: false, reason: `${role} mounted at ${point}; unmount it first` };
  }
  if (systemDisk !== undefined) return { system: true, reason: "is a part of the machine's own disk" };
  for (const number of await swapDevices()) {
    const role = disks.get(number);
    if (role !== undefined) return { system: true, reason: `${role} used as swap` };
  }
  return holders(disks);
}

async function holders(disks: ReadonlyMap<string, string>): Promise<Use | undefined> {
  for (const [number, role] of disks) {
    const [holder] = await readdir(join('/sys/dev/block', number, 'holders')).catch(() => []);
    if (holder !== undefined) return { system: false, reason: `${role} in use by the device ${holder}` };
  }
  return undefined;
}

/** Numbers of a device as the kernel writes them, from those of stat(2) (gnu_dev_major and minor of glibc). */
export function deviceNumber(device: number): string {
  const bits = BigInt(device);
  const major = ((bits >> 8n) & 0xfffn) | ((bits >> 32n) & ~0xfffn);
  const minor = (bits & 0xffn) | ((bits >> 12n) & ~0xffn);
  return `${String(major)}:${String(minor)}`;
}

/** The disk of which a device is a partition, or the device itself. */
export async function diskOf(number: string): Promise<string> {
  const directory = await realpath(join('/sys/dev/block', number)).catch(() => undefined);
  if (directory === undefined) return number;
  const partition = await readFile(join(directory, 'partition'), 'utf8').catch(() => undefined);
  if (partition === undefined) return number;
  return (await readFile(join(directory, '../dev'), 'utf8')).trim();
}

async function partitionsOf(number: string): Promise<string[]> {
  const directory = join('/sys/dev/block', number);
  const found: string[] = [];
  for (const name of await readdir(directory).catch(() => [])) {
    const partition = await readFile(join(directory, name, 'partition'), 'utf8').catch(() => undefined);
    if (partition !== undefined) found.push((await readFile(join(directory, name, 'dev'), 'utf8')).trim());
  }
  return found;
}

/** Devices that are mounted anywhere that this process can see, and the devices that mounts name as their source. */
async function mountedDevices(): Promise<{ number: string; point: string }[]> {
  const mounts: { number: string; point: string }[] = [];
  for (const line of (await readFile('/proc/self/mountinfo', 'utf8')).split('\n')) {
    const [fields, more] = line.split(' - ');
    const [, , number, , point] = fields!.split(' ');
    if (number === undefined || point === undefined) continue;
    mounts.push({ number, point: unescape(point) });
    // File systems of several devices have a number of their own; what they name as source is one of them.
    const source = more?.split(' ')[1];
    if (source?.startsWith('/dev/') === true) {
      const device = await stat(unescape(source)).catch(() => undefined);
      if (device?.isBlockDevice() === true)
        mounts.push({ number: deviceNumber(device.rdev), point: unescape(point) });
    }
  }
  return mounts;
}

async function swapDevices(): Promise<string[]> {
  const found: string[] = [];
  const lines = (await readFile('/proc/swaps', 'utf8').catch(() => '')).split('\n').slice(1);
  for (const line of lines) {
    const path = line.split(/\s+/)[0];
    if (path === undefined || path === '') continue;
    const device = await stat(unescape(path)).catch(() => undefined);
    if (device?.isBlockDevice() === true) found.push(deviceNumber(device.rdev));
  }
  return found;
}

/** Undoes the kernel's escapes of white space in mount tables (`\040` and the like). */
function unescape(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 8)));
}

/** The directory of a block device in sysfs, for its counters. */
export async function sysfsDirectory(path: string): Promise<string> {
  return join('/sys/dev/block', deviceNumber((await stat(path)).rdev));
}

/** The kernel's name of a block device, whatever link `path` is. */
export async function kernelName(path: string): Promise<string> {
  const link = await readlink(await sysfsDirectory(path));
  return link.slice(link.lastIndexOf('/') + 1);
}
