import { rm } from 'node:fs/promises';
import { cpus } from 'node:os';
import { treeOf } from '../data/prepare.js';
import { measure } from '../measure.js';
import { runCommand } from '../run-command.js';
import type { Contestant, Task } from '../task.js';
import type { Workshop } from '../workshop.js';
import { ours } from '../workshop.js';

const BASE = 'sha512sum on all processors';
/** Reads and hashes every file once. */
const HASH = `find "$TREE" -type f -print0 | xargs -0 -n 64 -P ${String(cpus().length)} sha512sum > /dev/null`;

/** An image is made of a directory: for an empty store, and for one that has it already. */
export function buildSuite(workshop: Workshop): Task[] {
  const hash = hashContestant(workshop);
  return [
    { title: 'build A, cold', base: BASE, contestants: [newBuild(workshop), hash] },
    {
      title: 'build A again, cold',
      base: BASE,
      contestants: [buildAgain(workshop, 'auto'), buildAgain(workshop, 'full'), hash],
    },
  ];
}

function newBuild(workshop: Workshop): Contestant {
  const store = workshop.path('new-store');
  return {
    tool: 'imagetool',
    attempt: async examine => {
      await rm(store, { recursive: true, force: true });
      return attemptOf(workshop, 'base/bench/A', store, [], examine);
    },
  };
}

/** Builds from a tree that an image was built from before, reading what is not known of it, or all. */
function buildAgain(workshop: Workshop, verify: 'auto' | 'full'): Contestant {
  const store = workshop.path(`again-store-${verify}`);
  let number = 0;
  return {
    tool: verify === 'auto' ? 'imagetool' : 'imagetool --verify full',
    attempt: async examine => {
      if (number === 0) await workshop.build('base/bench/0', treeOf(workshop.data, 'A'), store);
      return attemptOf(workshop, `base/bench/${String(++number)}`, store, ['--verify', verify], examine);
    },
  };
}

async function attemptOf(
  workshop: Workshop,
  image: string,
  store: string,
  more: readonly string[],
  examine: boolean,
) {
  const { signal, data } = workshop;
  const words = ours('imagetool', 'build', image, '--from', treeOf(data, 'A'), '--store', store, '--json');
  const { cost, output } = await measure([...words, '--mtimes-from', 'none', ...more], {
    cold: true,
    signal,
  });
  if (!examine) return { cost };
  const wanted = await digestOf(workshop, await workshop.image('A'));
  const { digest, skippedFiles } = JSON.parse(output) as { digest: string; skippedFiles: number };
  const result = digest === wanted ? 'exact' : 'another digest than that of A.tar';
  return { cost, result: skippedFiles === 0 ? result : `${result}, ${String(skippedFiles)} files not read` };
}

async function digestOf({ store, signal }: Workshop, image: string): Promise<string> {
  const { output } = await runCommand(ours('imagetool', 'show', image, '--store', store, '--json'), {
    signal,
  });
  return (JSON.parse(output.toString('utf8')) as { digest: string }).digest;
}

function hashContestant({ data, signal }: Workshop): Contestant {
  const environment = { TREE: treeOf(data, 'A') };
  const attempt = () => measure(['sh', '-c', HASH], { cold: true, environment, signal });
  return { tool: BASE, attempt };
}
