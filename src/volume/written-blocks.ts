import { closeSync, constants, existsSync, openSync, readSync, writeFileSync } from 'node:fs';
import { mkdir, readdir, readFile, rmdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DetachedMount } from '../native.js';
import { mount, unmount } from '../native.js';
import { sysfsDirectory } from './device-use.js';

/*
 * Which blocks of a device are written, as the kernel's block events say: an instance of its own of the
 * tracing file system, mounted nowhere. Where the kernel has no tracing, or does not let us, nothing is
 * known; nothing is estimated.
 */

/** The blocks that a snapshot of a volume stores. */
export const SNAPSHOT_BLOCK_BYTES = 512 * 1024;
const SECTOR_BYTES = 512;
/** For each processor. It is emptied often; this is what may come between. */
const BUFFER_KIB = 2048;
const DRAIN_MILLISECONDS = 50;
const READ_BYTES = 256 << 10;
/** Kinds of requests that change what is stored: writes, and zeroing, which older kernels print as `N`. */
const WRITES = /[WN]/;
/** Fields of /sys/block/X/stat: sectors written (Documentation/block/stat.rst). */
const STAT_SECTORS_WRITTEN = 6;

/** What the names of our instances begin with; the number of the process follows. */
const INSTANCE = 'image-unpacker-';

/** What was written to a device. */
export interface Written {
  bytes: number;
  /** Blocks of 512 KiB that were written to, or null when the kernel does not tell. */
  blocks: number | null;
}

/** Watches the writes to a device from `start` to `stop`. */
export class WriteWatch {
  readonly #device: string;
  readonly #before: number;
  readonly #trace: Trace | undefined;
  #written: Promise<Written> | undefined;

  private constructor(device: string, before: number, trace: Trace | undefined) {
    this.#device = device;
    this.#before = before;
    this.#trace = trace;
  }

  static async start(device: string): Promise<WriteWatch> {
    const trace = await Trace.start(device);
    return new WriteWatch(device, await sectorsWritten(device), trace);
  }

  /** Ends the watch, if it has not ended. All that was written must have reached the device. */
  stop(): Promise<Written> {
    this.#written ??= this.#count();
    return this.#written;
  }

  async #count(): Promise<Written> {
    const sectors = (await sectorsWritten(this.#device)) - this.#before;
    const traced = await this.#trace?.stop();
    const complete = traced !== undefined && traced.sectors >= sectors;
    return { bytes: sectors * SECTOR_BYTES, blocks: complete ? traced.blocks.size : null };
  }
}

async function sectorsWritten(device: string): Promise<number> {
  const counters = await readFile(join(await sysfsDirectory(device), 'stat'), 'utf8');
  return Number(counters.trim().split(/\s+/)[STAT_SECTORS_WRITTEN]);
}

class Trace {
  readonly #tracing: DetachedMount;
  readonly #instance: string;
  readonly #pipe: number;
  readonly #timer: NodeJS.Timeout;
  readonly #blocks = new Set<number>();
  readonly #buffer = Buffer.alloc(READ_BYTES);
  #sectors = 0;
  #rest = '';

  private constructor(tracing: DetachedMount, instance: string) {
    this.#tracing = tracing;
    this.#instance = instance;
    this.#pipe = openSync(join(instance, 'trace_pipe'), constants.O_RDONLY | constants.O_NONBLOCK);
    this.#timer = setInterval(() => {
      this.#drain();
    }, DRAIN_MILLISECONDS);
    this.#timer.unref();
  }

  /** Resolves to undefined where there is no tracing to be had. */
  static async start(device: string): Promise<Trace | undefined> {
    const tracing = await mount('tracefs', 'tracefs', false, []).catch(() => undefined);
    if (tracing === undefined) return undefined;
    const instances = `/proc/self/fd/${String(tracing.root)}/instances`;
    const instance = join(instances, `${INSTANCE}${String(process.pid)}-${String(performance.now())}`);
    try {
      await removeLeft(instances);
      await mkdir(instance);
    } catch {
      await unmount(tracing);
      return undefined;
    }
    try {
      await writeFile(join(instance, 'buffer_size_kb'), String(BUFFER_KIB));
      const event = join(instance, 'events/block/block_rq_issue');
      await writeFile(join(event, 'filter'), `dev == ${String(kernelNumber((await stat(device)).rdev))}`);
      await writeFile(join(event, 'enable'), '1');
      return new Trace(tracing, instance);
    } catch {
      await rmdir(instance);
      await unmount(tracing);
      return undefined;
    }
  }

  async stop(): Promise<{ sectors: number; blocks: ReadonlySet<number> }> {
    clearInterval(this.#timer);
    writeFileSync(join(this.#instance, 'events/block/block_rq_issue/enable'), '0');
    this.#drain();
    closeSync(this.#pipe);
    // The kernel takes its time for this.
    await rmdir(this.#instance);
    await unmount(this.#tracing);
    return { sectors: this.#sectors, blocks: this.#blocks };
  }

  #drain(): void {
    for (;;) {
      const length = readAvailable(this.#pipe, this.#buffer);
      if (length === 0) return;
      const lines = (this.#rest + this.#buffer.toString('latin1', 0, length)).split('\n');
      this.#rest = lines.pop()!;
      for (const line of lines) this.#count(line);
    }
  }

  /** A line ends in `block_rq_issue: MAJOR,MINOR KIND BYTES (COMMAND) SECTOR + COUNT … [PROCESS]`. */
  #count(line: string): void {
    const fields = /block_rq_issue: \d+,\d+ (\w+) \d+ \(.*?\) (\d+) \+ (\d+) /.exec(line);
    if (fields === null || !WRITES.test(fields[1]!)) return;
    const sector = Number(fields[2]);
    const count = Number(fields[3]);
    if (count === 0) return;
    this.#sectors += count;
    const last = Math.floor(((sector + count) * SECTOR_BYTES - 1) / SNAPSHOT_BLOCK_BYTES);
    for (let block = Math.floor((sector * SECTOR_BYTES) / SNAPSHOT_BLOCK_BYTES); block <= last; block++) {
      this.#blocks.add(block);
    }
  }
}

/** Removes the instances of processes that were killed: nobody else does, and each has buffers of its own. */
async function removeLeft(instances: string): Promise<void> {
  for (const name of await readdir(instances)) {
    const process = name.startsWith(INSTANCE) ? parseInt(name.slice(INSTANCE.length)) : NaN;
    if (Number.isNaN(process) || existsSync(`/proc/${String(process)}`)) continue;
    try {
      await rmdir(join(instances, name));
    } catch (reason) {
      // Another one has removed it, or it is a process's that cannot be seen from here.
      if (!['ENOENT', 'EBUSY'].includes((reason as NodeJS.ErrnoException).code ?? '')) throw reason;
    }
  }
}

function readAvailable(pipe: number, buffer: Buffer): number {
  try {
    return readSync(pipe, buffer);
  } catch (reason) {
    if ((reason as NodeJS.ErrnoException).code === 'EAGAIN') return 0;
    throw reason;
  }
}

/** A device number as the kernel's filters have it (MKDEV of linux/kdev_t.h), from that of stat(2). */
function kernelNumber(device: number): number {
  const major = (device >> 8) & 0xfff;
  const minor = (device & 0xff) | ((device >> 12) & 0xfff00);
  return major * (1 << 20) + minor;
}
