import { readdir, lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RunningAgent } from '../agent.js';
import { withAgent } from '../agent.js';
import type { Cost } from '../measure.js';
import { measure } from '../measure.js';
import { runCommand } from '../run-command.js';
import type { Contestant, Task } from '../task.js';
import type { Workshop } from '../workshop.js';
import { ours } from '../workshop.js';

const IDLE_SECONDS = 30;
const AT_ONCE = 4;
/** So often somebody may ask who watches. */
const ASK_MILLISECONDS = 20;

/** What it costs to publish what is published, and how an agent behaves that rests, and one that works. */
export function agentSuite(workshop: Workshop): Task[] {
  return [publishedAlready(workshop), idle(workshop), statusCalls(workshop)];
}

function publishedAlready(workshop: Workshop): Task {
  const tool = 'ami-publisher publish';
  const attempt = async (first: boolean) => {
    const directory = first ? await workshop.emptied('published') : workshop.path('published');
    const [stream, leaf] = splitName(await workshop.image('A'));
    const targets = `local:${join(directory, 'raw')};local:${join(directory, 'other')}`;
    const places = ['--targets', targets, '--store', workshop.store, '--state-dir', join(directory, 'state')];
    const words = ours('ami-publisher', 'publish', stream, leaf, ...places);
    if (first) await runCommand(words, { signal: workshop.signal });
    const before = [await traceOf(directory), await traceOf(workshop.store)];
    const { cost } = await measure(words, { cold: false, signal: workshop.signal });
    const after = [await traceOf(directory), await traceOf(workshop.store)];
    return { cost, result: String(before) === String(after) ? 'nothing written' : 'SOMETHING WRITTEN' };
  };
  return { title: 'publish, published already, warm', base: tool, contestants: [{ tool, attempt }] };
}

/** All that is below a directory, and when it was last changed. */
async function traceOf(directory: string): Promise<string[]> {
  const names = await readdir(directory, { recursive: true });
  const traces = names.map(async name => {
    const { ino, size, mtimeMs, ctimeMs } = await lstat(join(directory, name));
    return [name, ino, size, mtimeMs, ctimeMs].join(' ');
  });
  return (await Promise.all(traces)).sort();
}

function idle(workshop: Workshop): Task {
  const rest = async (agent: RunningAgent): Promise<{ cost: Cost }> => {
    const before = await agent.cpu();
    await sleep(IDLE_SECONDS * 1000, undefined, { signal: workshop.signal });
    const cpu = (await agent.cpu()) - before;
    return { cost: { wall: IDLE_SECONDS, cpu, memory: await agent.memory(), written: null, blocks: null } };
  };
  const base = 'fresh';
  const contestants: Contestant[] = [
    { tool: base, attempt: () => withAgent(workshop, rest) },
    {
      tool: 'after an unpack and a capture',
      attempt: () =>
        withAgent(workshop, async agent => {
          const [image] = await workshop.streams(1);
          await agent.client.unpack({ ...image!, create: true });
          const capture = await agent.client.capture(splitName(image!.image)[0], image!.digest);
          await capture.close();
          return rest(agent);
        }),
    },
  ];
  return { title: `agent, idle for ${String(IDLE_SECONDS)} s`, base, contestants };
}

function statusCalls(workshop: Workshop): Task {
  const base = 'status, idle';
  let busy: number[] = [];
  const costOf = (seconds: number): { cost: Cost } => ({
    cost: { wall: seconds, cpu: 0, memory: 0, written: null, blocks: null },
  });
  const contestants: Contestant[] = [
    {
      tool: base,
      attempt: () =>
        withAgent(workshop, async agent => {
          const times: number[] = [];
          while (times.length < 50) times.push(await ask(agent));
          return costOf(middle(times));
        }),
    },
    {
      tool: `the middle one during ${String(AT_ONCE)} unpacks`,
      attempt: async () => {
        busy = await withAgent(workshop, agent => askDuringUnpacks(workshop, agent));
        return { ...costOf(middle(busy)), result: `${String(busy.length)} calls` };
      },
    },
    { tool: 'the slowest of them', attempt: () => Promise.resolve(costOf(Math.max(...busy))) },
  ];
  return { title: 'agent, a status call', base, contestants };
}

/** Asks for the status again and again while several streams are unpacked; resolves to how long each answer took. */
async function askDuringUnpacks(workshop: Workshop, agent: RunningAgent): Promise<number[]> {
  const images = await workshop.streams(AT_ONCE);
  const over = new AbortController();
  const work = Promise.all(images.map(image => agent.client.unpack({ ...image, create: true })));
  // Whoever asks must not be what fails first.
  const end = (): void => {
    over.abort();
  };
  work.then(end, end);
  const times: number[] = [];
  while (!over.signal.aborted) {
    times.push(await ask(agent));
    await sleep(ASK_MILLISECONDS);
  }
  await work;
  return times;
}

async function ask({ client }: RunningAgent): Promise<number> {
  const began = performance.now();
  await client.status();
  return (performance.now() - began) / 1000;
}

function middle(times: readonly number[]): number {
  return times.toSorted((a, b) => a - b)[times.length >> 1]!;
}

function splitName(image: string): [stream: string, leaf: string] {
  const at = image.lastIndexOf('/');
  return [image.slice(0, at), image.slice(at + 1)];
}
