import { rm } from 'node:fs/promises';
import { reviseServer } from '../data/make-tree.js';
import { treeOf } from '../data/prepare.js';
import { measure } from '../measure.js';
import type { Plot } from '../plot.js';
import { runCommand, textOf } from '../run-command.js';
import type { Attempt, Contestant, Task, TaskScores } from '../task.js';
import { copyFile, withDevice, withTree } from '../volume.js';
import type { Workshop } from '../workshop.js';
import { inShell, ours } from '../workshop.js';
import { SYNC } from './apply.js';

const REVISIONS = 30;
/** So many revisions are one task: what one costs in the first of them and in the last can be compared. */
const TOGETHER = 10;
const TOOLS = ['image-unpacker', 'rsync'] as const;

/**
 * A server gets a revision a day, each with as much that is new, on one volume: neither what a revision costs
 * nor how the files and the free space lie should get worse.
 */
export function seriesSuite(workshop: Workshop): Task[] {
  const series = new Series(workshop);
  const contestants: Contestant[] = [
    { tool: 'image-unpacker', attempt: () => series.applyNext() },
    { tool: 'rsync', attempt: () => series.syncToSame() },
  ];
  return Array.from({ length: REVISIONS / TOGETHER }, (_, at) => {
    const [first, last] = [at * TOGETHER + 1, (at + 1) * TOGETHER];
    const title = `revisions ${String(first)} to ${String(last)} on one volume, cold`;
    return { title, base: 'rsync', contestants, rounds: TOGETHER };
  });
}

/** The tree, and a volume of each tool, as they go from revision to revision. */
class Series {
  readonly #workshop: Workshop;
  readonly #tree: string;
  readonly #store: string;
  readonly #files: { ours: string; peer: string; state: string };
  #revision = 0;

  constructor(workshop: Workshop) {
    this.#workshop = workshop;
    this.#tree = workshop.path('series-tree');
    this.#store = workshop.path('series-store');
    this.#files = {
      ours: workshop.path('series-ours'),
      peer: workshop.path('series-peer'),
      state: workshop.path('series-state'),
    };
  }

  /** Makes the next revision and has our tool apply it. */
  async applyNext(): Promise<Attempt> {
    if (this.#revision === 0) await this.#begin();
    await reviseServer(this.#tree, ++this.#revision, this.#workshop.signal);
    const image = `base/series/${String(this.#revision)}`;
    await this.#workshop.build(image, this.#tree, this.#store);
    const places = ['--store', this.#store, '--state-dir', this.#files.state, '--image', image];
    return this.#attempt(this.#files.ours, device =>
      ours('image-unpacker', 'apply', '--json', '--device', device, ...places),
    );
  }

  /** Has rsync do the same on its volume. */
  syncToSame(): Promise<Attempt> {
    return this.#attempt(this.#files.peer, () => inShell(SYNC));
  }

  async #begin(): Promise<void> {
    const { signal, data } = this.#workshop;
    const volume = await this.#workshop.ourVolume('A');
    await copyFile(volume.file, this.#files.ours, signal);
    await copyFile(await this.#workshop.peerVolume('A'), this.#files.peer, signal);
    for (const [from, to] of [
      [volume.state, this.#files.state],
      [treeOf(data, 'A'), this.#tree],
    ] as const) {
      await rm(to, { recursive: true, force: true });
      await runCommand(['cp', '--archive', '--sparse=always', from, to], { signal });
    }
  }

  async #attempt(file: string, command: (device: string) => string[]): Promise<Attempt> {
    const { signal } = this.#workshop;
    return withDevice(file, signal, async device => {
      const environment = { ...this.#workshop.environment('A'), TREE: this.#tree, DEVICE: device };
      const { cost } = await measure(command(device), { cold: true, device, environment, signal });
      if (this.#revision % TOGETHER > 0) return { cost };
      const result = await this.#workshop.compareWith(device, this.#tree);
      return { cost, result: `${result}; ${await describeExtents(device, signal)}` };
    });
  }
}

/** In how many pieces files and free space are (filefrag(8), e2freefrag(8)). */
async function describeExtents(device: string, signal: AbortSignal): Promise<string> {
  const free = /^Num\. free extent: (\d+)/m.exec(await textOf(['e2freefrag', device], { signal }))?.[1];
  const listed = await withTree(device, root =>
    textOf(['find', root, '-xdev', '-type', 'f', '-size', '+0', '-exec', 'filefrag', '{}', '+'], { signal }),
  );
  const extents = [...listed.matchAll(/: (\d+) extents? found$/gm)].map(([, count]) => Number(count));
  const inPieces = extents.filter(count => count > 1).length;
  return `${String(inPieces)} of ${String(extents.length)} files in pieces, free space in ${free ?? '?'}`;
}

/** The blocks that each revision wrote. */
export function plotSeries(tasks: readonly TaskScores[]): Plot {
  const lines = TOOLS.map(tool => {
    const costs = tasks.flatMap(({ scores }) => scores.find(score => score.tool === tool)?.costs ?? []);
    return { name: tool, points: costs.map(({ blocks }, at) => ({ x: at + 1, y: blocks ?? 0 })) };
  });
  const y = 'blocks of 512 KiB written';
  return { title: 'A revision a day, as much of it new each time', x: 'revision', y, lines };
}
