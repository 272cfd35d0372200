import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ImageUnpackerError } from '../src/image/error.js';
import { WriteWatch } from '../src/volume/written-blocks.js';
import type { RunOptions } from './run-command.js';
import { runCommand } from './run-command.js';

/** What a run of a tool cost. */
export interface Cost {
  /** Seconds from the start of the process to its end. */
  wall: number;
  /** Seconds of processors, user and system, of the process and all that it waited for. */
  cpu: number;
  /** Bytes that the largest of these processes held at most. */
  memory: number;
  /** Bytes written to the volume, or of the file that was made; null where there is none. */
  written: number | null;
  /** Blocks of 512 KiB of the volume that were written to; null where the kernel does not tell. */
  blocks: number | null;
}

export interface Measurement {
  cost: Cost;
  output: string;
}

export interface MeasureOptions extends RunOptions {
  /** Whether nothing of any disk may be in memory before. */
  cold: boolean;
  /** The device whose writes are counted. */
  device?: string;
}

/** Runs a tool and measures it. Throws as `runCommand` does. */
export async function measure(words: readonly string[], options: MeasureOptions): Promise<Measurement> {
  const directory = await mkdtemp(join(tmpdir(), 'bench-'));
  const report = join(directory, 'time');
  let watch: WriteWatch | undefined;
  try {
    if (options.cold) await dropCaches(options.signal);
    if (options.device !== undefined) watch = await WriteWatch.start(options.device);
    const timed = ['time', '--quiet', '--format', '%U %S %M', '--output', report, '--', ...words];
    const { output, seconds } = await runCommand(timed, options);
    const written = await watch?.stop();
    const cost = {
      wall: seconds,
      ...parseReport(await readFile(report, 'utf8')),
      written: written?.bytes ?? null,
      blocks: written?.blocks ?? null,
    };
    return { cost, output: output.toString('utf8') };
  } finally {
    await watch?.stop();
    await rm(directory, { recursive: true });
  }
}

/** Seconds of user and system time and the largest resident set in KiB (time(1)). */
function parseReport(report: string): { cpu: number; memory: number } {
  const fields = /^([\d.]+) ([\d.]+) (\d+)\n$/.exec(report);
  if (fields === null) {
    throw new ImageUnpackerError('TOOL_FAILED', `time printed "${report.trim()}"; GNU time is needed`);
  }
  return { cpu: Number(fields[1]) + Number(fields[2]), memory: Number(fields[3]) * 1024 };
}

/** Writes out what is dirty, then forgets all that is clean (Documentation/admin-guide/sysctl/vm.rst). */
async function dropCaches(signal: AbortSignal | undefined): Promise<void> {
  await runCommand(['sync'], { signal });
  await writeFile('/proc/sys/vm/drop_caches', '3\n');
}
