import type { ChildProcess } from 'node:child_process';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { DiskEvent } from './disk-log.js';
import { decodeLog } from './disk-log.js';

const SOURCE = fileURLToPath(new URL('log-disk.c', import.meta.url));
const PROGRAM = fileURLToPath(new URL('../../../build/log-disk', import.meta.url));
const FLAGS = ['-O2', '-Wall', '-Wextra', '-Werror', '-D_FILE_OFFSET_BITS=64', '-I/usr/include/fuse3'];

/** Compiles log-disk.c unless that has been done; returns the program. */
export function buildLogDisk(): string {
  const built = statSync(PROGRAM, { throwIfNoEntry: false });
  if (built !== undefined && built.mtimeMs >= statSync(SOURCE).mtimeMs) return PROGRAM;
  const temporary = `${PROGRAM}.${String(process.pid)}`;
  execFileSync('gcc', [...FLAGS, '-o', temporary, SOURCE, '-lfuse3'], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  renameSync(temporary, PROGRAM);
  return PROGRAM;
}

/** Files that record what reaches them, mounted in a directory. */
export class LogDisks {
  readonly #directory: string;
  readonly #helper: ChildProcess;
  readonly #ended: Promise<unknown>;

  private constructor(directory: string, helper: ChildProcess) {
    this.#directory = directory;
    this.#helper = helper;
    this.#ended = once(helper, 'exit');
  }

  /** Serves the files of the directory `disks` as `path` tells. All else is below `directory`. */
  static async mount(directory: string, disks: string): Promise<LogDisks> {
    const mounted = join(directory, 'logged');
    mkdirSync(mounted, { recursive: true });
    const parameters = [disks, join(directory, 'log'), mounted];
    const helper = spawn(buildLogDisk(), parameters, { stdio: ['ignore', 'pipe', 'inherit'] });
    const log = new LogDisks(directory, helper);
    await Promise.race([
      once(helper.stdout, 'data'),
      log.#ended.then(() => {
        throw new Error('log-disk could not be started: is there /dev/fuse?');
      }),
    ]);
    return log;
  }

  path(name: string): string {
    return join(this.#directory, 'logged', name);
  }

  /** Notes in the log that something has happened. */
  mark(text: string): void {
    writeFileSync(this.path('control'), `mark ${text}`);
  }

  /** Lets `count` requests of a disk fail with EIO, after `skip` that are well. */
  fail(kind: 'write' | 'flush' | 'read', disk: number, skip: number, count: number): void {
    writeFileSync(this.path('control'), `fail ${kind} ${String(disk)} ${String(skip)} ${String(count)}`);
  }

  /** Ends the record and gives it. Nothing may use the files any more. */
  async unmount(): Promise<DiskEvent[]> {
    execFileSync('umount', [this.path('')]);
    await this.#ended;
    const path = join(this.#directory, 'log');
    const events = decodeLog(readFileSync(path));
    rmSync(path);
    return events;
  }

  /** Ends the helper however things stand: the disks vanish. */
  kill(): void {
    if (this.#helper.exitCode !== null || this.#helper.signalCode !== null) return;
    this.#helper.kill('SIGKILL');
    spawnSync('umount', ['-l', this.path('')]);
  }
}
