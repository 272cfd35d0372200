import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, open, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { treeOf } from '../data/prepare.js';
import type { Line, RunningServer } from '../image-server.js';
import { makeCerts, withServers } from '../image-server.js';
import { measure } from '../measure.js';
import { packed } from '../packed.js';
import { runCommand } from '../run-command.js';
import { withSshServer } from '../ssh-server.js';
import type { Attempt, Contestant, Task } from '../task.js';
import type { Workshop } from '../workshop.js';
import { ours } from '../workshop.js';

const RSYNC = 'rsync over ssh';
const MIB = 1 << 20;
const LARGE_FILES = 4;
const LARGE_BYTES = 256 * MIB;
const AGENTS = 50;
/** What is new for each of them: all of them together are the page cache's. */
const UPDATE_LARGE = 8;
const UPDATE_LARGE_BYTES = 2 * MIB;
const UPDATE_SMALL = 1000;
const UPDATE_SMALL_BYTES = 8 << 10;
/** A packet takes 50 ms there and back; 1 Gb/s. */
const FAR: Line = { milliseconds: 25, bytes: 125_000_000 };
const FIRST = 'base/bench/first';
const SECOND = 'base/bench/second';
/** Has arrived when replicas follow. */
const READY = 'base/ready/1';

/** Sending to image servers, and fetching from them, over TLS on this machine. */
export function imageServerSuite(workshop: Workshop): Task[] {
  const tree = treeOf(workshop.data, 'A');
  return [
    {
      title: `upload of ${String(LARGE_FILES)} objects of ${String(LARGE_BYTES / MIB)} MiB, warm`,
      base: RSYNC,
      contestants: [
        upload(workshop, () => largeFiles(workshop)),
        rsync(workshop, () => largeFiles(workshop)),
      ],
    },
    {
      title: 'the same fetched, warm',
      base: RSYNC,
      contestants: [
        fetched(workshop, 'fetch'),
        fetched(workshop, 'read'),
        rsync(workshop, () => largeFiles(workshop)),
      ],
    },
    {
      title: 'first upload of A, warm',
      base: RSYNC,
      contestants: [
        upload(workshop, () => Promise.resolve(tree)),
        rsync(workshop, () => Promise.resolve(tree)),
      ],
    },
    {
      title: 'A becomes B on a server, its replica, and the replica of that',
      base: 'on this machine',
      contestants: [
        revision(workshop, 'on this machine', true),
        revision(workshop, 'the same, all of B read', false),
        revision(workshop, '50 ms and 1 Gb/s apart', true, FAR),
      ],
    },
    {
      title: `${String(AGENTS)} agents fetch ${String(UPDATE_LARGE)} objects of ${String(UPDATE_LARGE_BYTES / MIB)} MiB and ${String(UPDATE_SMALL)} of ${String(UPDATE_SMALL_BYTES / 1024)} KiB at once`,
      base: 'one alone',
      contestants: [agents(workshop, 1, 'one alone'), agents(workshop, AGENTS, 'all of them')],
    },
  ];
}

async function largeFiles(workshop: Workshop): Promise<string> {
  return filesOf(workshop, 'large', Array<number>(LARGE_FILES).fill(LARGE_BYTES));
}

async function updateFiles(workshop: Workshop): Promise<string> {
  const large = Array<number>(UPDATE_LARGE).fill(UPDATE_LARGE_BYTES);
  return filesOf(workshop, 'update', [...large, ...Array<number>(UPDATE_SMALL).fill(UPDATE_SMALL_BYTES)]);
}

/** A directory with files of random bytes, made once. */
async function filesOf(workshop: Workshop, name: string, sizes: readonly number[]): Promise<string> {
  const directory = workshop.path(name);
  if (existsSync(directory)) return directory;
  await mkdir(directory);
  for (const [number, size] of sizes.entries()) {
    const file = await open(join(directory, String(number)), 'w');
    for (let left = size; left > 0; left -= MIB) await file.write(randomBytes(Math.min(left, MIB)));
    await file.close();
  }
  return directory;
}

/** The words that make an image of a directory, on a server, by a client that knows nothing yet. */
function buildWords(certs: string, { address }: RunningServer, image: string, from: string): string[] {
  const cache = join(certs, '../build-cache');
  const places = ['--server', address, '--certs', certs, '--cache', cache];
  return ours('imagetool', 'build', image, '--from', from, '--mtimes-from', 'none', ...places);
}

async function remark(servers: readonly RunningServer[], more = ''): Promise<string> {
  const held = await Promise.all(servers.map(server => server.memory()));
  return `servers at most ${String(Math.round(Math.max(...held) / MIB))} MiB${more}`;
}

function upload(workshop: Workshop, source: () => Promise<string>): Contestant {
  const attempt = async (): Promise<Attempt> => {
    const from = await source();
    return withServers(workshop, 1, undefined, async (servers, certs) => {
      await rm(workshop.path('build-cache'), { recursive: true, force: true });
      const words = buildWords(certs, servers[0]!, FIRST, from);
      const { cost } = await measure(words, { cold: false, signal: workshop.signal });
      return { cost, result: await remark(servers) };
    });
  };
  return { tool: 'imagetool build', attempt };
}

function rsync(workshop: Workshop, source: () => Promise<string>): Contestant {
  const attempt = async (): Promise<Attempt> => {
    const from = await source();
    return withSshServer(workshop, async login => {
      const to = await workshop.emptied('rsync');
      const words = ['rsync', '-aHAXS', '--numeric-ids', '-e', login, `${from}/`, `127.0.0.1:${to}/`];
      // What an image server says is made is durable.
      const durable = ['sh', '-c', '"$@" && sync -f "$0"', to, ...words];
      const { cost } = await measure(durable, { cold: false, signal: workshop.signal });
      return { cost };
    });
  };
  return { tool: RSYNC, attempt };
}

async function clientWords(
  workshop: Workshop,
  work: 'fetch' | 'read' | 'await',
  server: RunningServer,
  image: string,
  count = 1,
): Promise<string[]> {
  const cache = await workshop.emptied('client-cache');
  const certs = await makeCerts(workshop);
  const script = await packed('imageserver/client');
  return [process.execPath, script, work, server.address, certs, image, cache, String(count)];
}

function fetched(workshop: Workshop, work: 'fetch' | 'read'): Contestant {
  const attempt = async (): Promise<Attempt> => {
    const from = await largeFiles(workshop);
    return withServers(workshop, 1, undefined, async (servers, certs) => {
      const { signal } = workshop;
      await runCommand(buildWords(certs, servers[0]!, FIRST, from), { signal });
      const words = await clientWords(workshop, work, servers[0]!, FIRST);
      const { cost } = await measure(words, { cold: false, signal });
      return { cost, result: await remark(servers) };
    });
  };
  return { tool: work === 'fetch' ? 'into a cache' : 'read and hashed', attempt };
}

/** B is sent by a client that has read the tree before, as after an update of it, or has not, and becomes known to the last server. */
function revision(workshop: Workshop, tool: string, isKnown: boolean, line?: Line): Contestant {
  const { signal, data } = workshop;
  const tree = treeOf(data, 'B');
  const attempt = async (): Promise<Attempt> => {
    await workshop.image('A');
    await rm(workshop.path('build-cache'), { recursive: true, force: true });
    const build = async (
      server: RunningServer,
      certs: string,
      image: string,
      from: string,
    ): Promise<void> => {
      await runCommand(buildWords(certs, server, image, from), { signal });
    };
    if (isKnown) {
      const read = ([server]: readonly RunningServer[], certs: string) => build(server!, certs, SECOND, tree);
      await withServers(workshop, 1, undefined, read, workshop.store);
    }
    const sendAndSee = async (servers: readonly RunningServer[], certs: string): Promise<Attempt> => {
      const last = servers.at(-1)!;
      const little = await workshop.emptied('little');
      await writeFile(join(little, 'file'), 'ready');
      await build(servers[0]!, certs, READY, little);
      await runCommand(await clientWords(workshop, 'await', last, READY), { signal });
      const seen = runCommand(await clientWords(workshop, 'await', last, SECOND), { signal });
      const words = buildWords(certs, servers[0]!, SECOND, tree);
      const [{ cost }, { seconds }] = await Promise.all([measure(words, { cold: false, signal }), seen]);
      const sent = `sent after ${cost.wall.toFixed(2)} s; `;
      return { cost: { ...cost, wall: seconds }, result: sent + (await remark(servers)) };
    };
    return withServers(workshop, 3, line, sendAndSee, workshop.store);
  };
  return { tool, attempt };
}

/** Agents, all of them in one process, that have nothing of an image yet. */
function agents(workshop: Workshop, count: number, tool: string): Contestant {
  const attempt = async (): Promise<Attempt> => {
    const from = await updateFiles(workshop);
    return withServers(workshop, 1, undefined, async (servers, certs) => {
      const { signal } = workshop;
      await rm(workshop.path('build-cache'), { recursive: true, force: true });
      await runCommand(buildWords(certs, servers[0]!, FIRST, from), { signal });
      const words = await clientWords(workshop, 'fetch', servers[0]!, FIRST, count);
      const { cost, output } = await measure(words, { cold: false, signal });
      const times = (JSON.parse(output) as number[]).sort((a, b) => a - b);
      const spread = `; first ${times[0]!.toFixed(2)} s, last ${times.at(-1)!.toFixed(2)} s`;
      return { cost, result: await remark(servers, spread) };
    });
  };
  return { tool, attempt };
}
