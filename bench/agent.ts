import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { connectUnpacker } from '../src/rpc/unpacker-client.js';
import type { Unpacker } from '../src/rpc/unpacker.js';
import { textOf } from './run-command.js';
import type { Workshop } from './workshop.js';
import { ours } from './workshop.js';

/** A machine that is busy takes longer to start a program. */
const START_SECONDS = 60;

/** An agent that runs. */
export interface RunningAgent {
  readonly client: Unpacker;
  /** Seconds of processors that it has used itself, without its workers. */
  cpu(): Promise<number>;
  /** Bytes that it holds in memory now. */
  memory(): Promise<number>;
}

/** Does `work` with an agent that makes its own volumes and knows of none yet. */
export async function withAgent<T>(
  workshop: Workshop,
  work: (agent: RunningAgent) => Promise<T>,
): Promise<T> {
  const { store, signal } = workshop;
  const directory = await workshop.emptied('agent');
  const address = `unix:${directory}/socket`;
  const places = ['--store', store, '--state-dir', directory, '--volumes', `${directory}/disks`];
  const [program, ...parameters] = ours('image-unpacker', 'serve', '--listen', address, ...places);
  const ticks = Number(await textOf(['getconf', 'CLK_TCK'], { signal }));
  const child = spawn(program!, parameters, { detached: true, stdio: 'ignore' });
  const ended = once(child, 'exit');
  try {
    const client = await connectUnpacker(address, { patience: START_SECONDS, signal });
    try {
      const read = (file: string): Promise<string> => readFile(`/proc/${String(child.pid)}/${file}`, 'utf8');
      return await work({
        client,
        cpu: async () => cpuOf(await read('stat')) / ticks,
        memory: async () => memoryOf(await read('status')),
      });
    } finally {
      await client.close();
    }
  } finally {
    child.kill('SIGTERM');
    await ended;
  }
}

/** Clock ticks of user and system time (proc_pid_stat(5)); the name of the program may have spaces. */
function cpuOf(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

function memoryOf(status: string): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}
