import { setTimeout as wait } from 'node:timers/promises';
import { showCount } from '../../src/cli/show.js';
import { ImageUnpackerError } from '../../src/image/error.js';
import type { Report } from '../publish/processes.js';
import { killScript, runScript, withDirectory, withSimulator } from '../publish/processes.js';
import type { Attempt, Contestant, Task } from '../task.js';
import type { Workshop } from '../workshop.js';

const BASE = 'bare PUT loop';
const OURS = 'ami-publisher, direct';
const UNPACKERS = 'ami-publisher, snapshot';

/** In this time a publisher has read the answers that were on their way to it. */
const SETTLE_MILLISECONDS = 1000;

/** What is published, and to how many targets. */
interface Publication {
  leaf: 'after' | 'whole' | 'quarter';
  targets: number;
  /** More words for the publisher. */
  words?: readonly string[];
}

/**
 * Publishing by EBS direct to the simulator of AWS, with the latencies of AWS, both of them on this machine. Blocks are
 * made as they are asked for, so that nothing is unpacked.
 */
export function publishSuite(workshop: Workshop): Task[] {
  const task = (title: string, publication: Publication): Task => ({
    title,
    base: BASE,
    contestants: [publisher(workshop, OURS, publication), putLoop(workshop, publication)],
  });
  return [
    task('publish 5 % of 2 GiB, 20 targets', { leaf: 'after', targets: 20 }),
    { title: 'resume when killed half way', base: OURS, contestants: [killed(workshop)] },
    task('publish all of 2 GiB, 1 target', { leaf: 'whole', targets: 1 }),
    task('publish all of 512 MiB, 20 targets', { leaf: 'quarter', targets: 20 }),
    task('publish 5 % of 2 GiB, 200 targets', { leaf: 'after', targets: 200 }),
    { title: 'publish by 20 unpackers', base: UNPACKERS, contestants: [unpackers(workshop)] },
  ];
}

/** Publishing with more and fewer blocks on their way at once. */
export function parallelSuite(workshop: Workshop): Task[] {
  const contestant = (publication: Publication, perSnapshot: number, together: number): Contestant => {
    const words = ['--perSnapshot', String(perSnapshot), '--together', String(together)];
    const tool = `${String(perSnapshot)} at once, ${String(together)} together`;
    return publisher(workshop, tool, { ...publication, words });
  };
  const one: Publication = { leaf: 'whole', targets: 1 };
  const many: Publication = { leaf: 'after', targets: 20 };
  const base = '32 at once, 64 together';
  return [
    {
      title: 'publish all of 2 GiB, 1 target',
      base,
      contestants: [8, 16, 32, 64].map(perSnapshot => contestant(one, perSnapshot, 64)),
    },
    {
      title: 'publish 5 % of 2 GiB, 20 targets',
      base,
      contestants: [
        ...[16, 32, 64, 128, 256].map(together => contestant(many, 32, together)),
        contestant(many, 8, 64),
      ],
    },
  ];
}

function publisher(workshop: Workshop, tool: string, publication: Publication): Contestant {
  const { leaf, targets, words = [] } = publication;
  const attempt = () =>
    withSimulator(workshop, async (simulator, directory) => {
      const run = (image: string) =>
        runScript(workshop.signal, simulator, [
          'publisher',
          ...[directory, image, '--targets', String(targets), ...words],
        ]);
      if (leaf === 'after') checkAll(await run('before'));
      const before = await simulator.ask('an hour later');
      const report = checkAll(await run(leaf));
      const { refused, arrived } = await simulator.ask('');
      const sent = `${showCount(arrived - before.arrived)} blocks sent for ${showCount(report.blocks)} that differ`;
      return attemptOf(report, `${sent}, ${String(refused)} calls refused as too many`);
    });
  return { tool, attempt };
}

/** A publisher that is killed when half of the blocks have arrived, and what going on with its run takes. */
function killed(workshop: Workshop): Contestant {
  const attempt = () =>
    withSimulator(workshop, async (simulator, directory) => {
      const words = (image: string, ...more: string[]) =>
        ['publisher', directory, image, '--targets', '20', ...more] as const;
      checkAll(await runScript(workshop.signal, simulator, words('before')));
      const { arrived } = await simulator.ask('an hour later');
      const HALF = 2050;
      await killScript(simulator, words('after'), async () => {
        if ((await simulator.ask('')).arrived - arrived < HALF) return false;
        await simulator.ask('hold');
        await wait(SETTLE_MILLISECONDS);
        return true;
      });
      const then = await simulator.ask('go on');
      const report = checkAll(await runScript(workshop.signal, simulator, words('after', '--resume')));
      const end = await simulator.ask('');
      // What was not answered when it was killed was not acknowledged.
      const again = end.arrived - end.distinct - (then.arrived - then.acknowledged);
      const acknowledged = then.acknowledged - arrived;
      const share = ((again / acknowledged) * 100).toFixed(1);
      return attemptOf(
        report,
        `${showCount(again)} of ${showCount(acknowledged)} acknowledged blocks sent again, ${share} %`,
      );
    });
  return { tool: OURS, attempt };
}

/** Publishing by the strategy snapshot, with the times of EC2; processor and memory are those of the simulator as well. */
function unpackers(workshop: Workshop): Contestant {
  const attempt = () =>
    withDirectory(workshop, async directory => {
      const report = checkAll(
        await runScript(workshop.signal, { environment: {} }, ['unpackers', directory]),
      );
      return attemptOf(report, '20 images published');
    });
  return { tool: UNPACKERS, attempt };
}

function putLoop(workshop: Workshop, { leaf, targets }: Publication): Contestant {
  const attempt = () =>
    withSimulator(workshop, async simulator => {
      const words = [simulator.url, leaf, String(targets)];
      const report = await runScript(workshop.signal, simulator, ['put-loop', ...words]);
      return attemptOf(report, `${showCount(report.blocks)} blocks sent`);
    });
  return { tool: BASE, attempt };
}

function attemptOf({ seconds, cpu, memory }: Report, result: string): Attempt {
  return { cost: { wall: seconds, cpu, memory, written: null, blocks: null }, result };
}

function checkAll(report: Report): Report {
  const { failed = 0, failure, digests } = report;
  if (failed === 0 && digests === 1) return report;
  throw new ImageUnpackerError(
    'TOOL_FAILED',
    `${String(failed)} targets failed: ${failure ?? 'other disks'}`,
  );
}
