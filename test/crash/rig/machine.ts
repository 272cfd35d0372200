import { spawnSync } from 'node:child_process';
import {
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '../../root/ext4-fixture.js';
import type { DiskEvent } from './disk-log.js';
import { LogDisks } from './log-disk.js';
import { SparseDisk } from './sparse-disk.js';

/** More than all disks, stores and logs of a run take. */
const MEMORY = '3g';

/** The disks of a machine, by name. `state` has the file system of the state directory, `volume` is the volume. */
export interface Disks {
  state: SparseDisk;
  volume: SparseDisk;
}

/** The numbers of the disks in a log: they are in the order of their names. */
export const DISK_NUMBER = { state: 0, volume: 1 } as const;

const DETACH_MILLISECONDS = 30_000;
const REQUEST_KIB = 16;
/** Enough for two groups: the second has a copy of the superblock. */
const VOLUME_BYTES = 160 << 20;
const STATE_BYTES = 24 << 20;
/** What protects programs that do not sync what they rename is switched off: the nastiest that ext4 can be. */
const STATE_OPTIONS = 'noatime,noauto_da_alloc,data=writeback,errors=remount-ro';

/** A machine whose power may go: it is booted with the disks that are given to it. All of it is in memory. */
export class Machine {
  readonly directory: string;
  #boot: Boot | undefined;

  private constructor(directory: string) {
    this.directory = directory;
  }

  static make(): Machine {
    const directory = mkdtempSync(join(tmpdir(), 'crash-'));
    run('mount', '-t', 'tmpfs', '-o', `size=${MEMORY},mode=700`, 'crash', directory);
    return new Machine(directory);
  }

  /** New disks: one with an empty file system, for the state directory, and a volume that holds nothing. */
  blankDisks(stateBytes = STATE_BYTES): Disks {
    const path = join(this.directory, 'blank');
    new SparseDisk(stateBytes).save(path);
    run('mke2fs', '-q', '-F', '-t', 'ext4', '-b', '1024', '-J', 'size=1', path);
    const state = SparseDisk.read(path, stateBytes);
    run('rm', path);
    return { state, volume: new SparseDisk(VOLUME_BYTES) };
  }

  /** Switches the machine on. `logged`: what reaches the disks is recorded. */
  async boot(disks: Disks, { logged = false } = {}): Promise<Boot> {
    const files = join(this.directory, 'disks');
    mkdirSync(files, { recursive: true });
    for (const name of ['state', 'volume'] as const) disks[name].save(join(files, name));
    const log = logged ? await LogDisks.mount(this.directory, files) : undefined;
    this.#boot = new Boot(join(this.directory, 'mnt'), log);
    this.#boot.start(name => log?.path(name) ?? join(files, name));
    return this.#boot;
  }

  /** The disks of the machine, which is switched off, as it left them. */
  takeDisks(): Disks {
    const taken = (name: 'state' | 'volume'): SparseDisk => {
      const path = join(this.directory, 'disks', name);
      return SparseDisk.read(path, statSync(path).size);
    };
    return { state: taken('state'), volume: taken('volume') };
  }

  /**
   * Keeps the disks as they were when the machine was switched on, and as they are now, in `CRASH_KEEP`, if that names
   * a directory: a kernel does not write twice in the same order, so a seed alone may not show the same again.
   */
  keep(before: Disks): void {
    const directory = process.env['CRASH_KEEP'];
    if (directory === undefined) return;
    mkdirSync(directory, { recursive: true });
    const after = this.takeDisks();
    for (const name of ['state', 'volume'] as const) {
      before[name].save(join(directory, `${name}.before`));
      after[name].save(join(directory, `${name}.after`));
    }
  }

  /** Throws the machine away, however things stand. */
  close(): void {
    this.#boot?.abandon();
    if (spawnSync('umount', [this.directory]).status !== 0) run('umount', '-l', this.directory);
    rmdirSync(this.directory);
  }
}

/** A machine that is switched on. */
export class Boot {
  /** Where the file system of the disk `state` is mounted. */
  readonly root: string;
  readonly stateDirectory: string;
  readonly log: LogDisks | undefined;
  #devices: { volume: string; state: string } | undefined;

  constructor(mountPoint: string, log: LogDisks | undefined) {
    this.root = mountPoint;
    this.stateDirectory = join(mountPoint, 'image-unpacker');
    this.log = log;
  }

  start(pathOf: (disk: string) => string): void {
    mkdirSync(this.root, { recursive: true });
    const attach = (name: string): string => run('losetup', '-f', '--show', pathOf(name)).trim();
    this.#devices = { volume: attach('volume'), state: attach('state') };
    if (this.log !== undefined) this.#writeInSmallPieces();
    run('mount', '-t', 'ext4', '-o', STATE_OPTIONS, this.#devices.state, this.root);
  }

  /** A disk may stop between any two requests: the smaller they are, the more moments there are. */
  #writeInSmallPieces(): void {
    writeFileSync(`/sys/block/${basename(this.device)}/queue/max_sectors_kb`, String(REQUEST_KIB));
  }

  /** The device of the volume. */
  get device(): string {
    return this.#devices!.volume;
  }

  /** So many bytes have been read from the volume's device since it was attached. */
  bytesRead(): number {
    const counters = readFileSync(`/sys/block/${basename(this.device)}/stat`, 'utf8')
      .trim()
      .split(/\s+/);
    return Number(counters[2]) * 512;
  }

  /** Throws if anybody has the volume mounted or open exclusively. */
  requireFree(): void {
    closeSync(openSync(this.device, constants.O_RDWR | constants.O_EXCL));
  }

  /**
   * Switches the machine off in order, and gives what was recorded. Throws if anything is in use that should
   * not be.
   */
  async halt(): Promise<DiskEvent[]> {
    this.requireFree();
    const { volume, state } = this.#devices!;
    run('umount', this.root);
    this.#devices = undefined;
    await Promise.all([detach(volume), detach(state)]);
    return (await this.log?.unmount()) ?? [];
  }

  /** Lets go of all that can be let go of. */
  abandon(): void {
    if (this.#devices !== undefined) {
      const { volume, state } = this.#devices;
      this.#devices = undefined;
      for (const command of [
        ['umount', '-l', this.root],
        ['losetup', '-d', volume],
        ['losetup', '-d', state],
      ]) {
        spawnSync(command[0]!, command.slice(1));
      }
    }
    this.log?.kill();
  }
}

/** Detaches a loop device, which whoever lists devices may have open for a moment. */
async function detach(device: string): Promise<void> {
  const file = backingFile(device);
  run('losetup', '-d', device);
  const deadline = performance.now() + DETACH_MILLISECONDS;
  // Once it is free, somebody else may have it.
  while (backingFile(device) === file) {
    if (performance.now() > deadline) throw new Error(`${device} is still in use`);
    await sleep(5);
  }
}

function backingFile(device: string): string | undefined {
  try {
    return readFileSync(`/sys/block/${basename(device)}/loop/backing_file`, 'utf8');
  } catch {
    return undefined;
  }
}
