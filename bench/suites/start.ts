import { measure } from '../measure.js';
import type { Contestant, Task } from '../task.js';
import type { Workshop } from '../workshop.js';
import { ours } from '../workshop.js';

const BASE = 'node, empty program';

/** What a program of ours costs before it has done anything. */
export function startSuite(workshop: Workshop): Task[] {
  const contestants = [
    contestant(workshop, 'image-unpacker --help', ours('image-unpacker', '--help')),
    contestant(workshop, 'imagetool --help', ours('imagetool', '--help')),
    idle(workshop),
    contestant(workshop, BASE, [process.execPath, '--eval', '0']),
  ];
  return [{ title: 'start, warm', base: BASE, contestants }];
}

function contestant({ signal }: Workshop, tool: string, words: readonly string[]): Contestant {
  const attempt = async (first: boolean) => {
    if (first) await measure(words, { cold: false, signal });
    return { cost: (await measure(words, { cold: false, signal })).cost };
  };
  return { tool, attempt };
}

function idle(workshop: Workshop): Contestant {
  const { store, signal } = workshop;
  const attempt = () =>
    workshop.withOurs('A', async (device, state) => {
      const places = ['--device', device, '--store', store, '--state-dir', state];
      const words = ours('image-unpacker', 'apply', ...places, '--image', await workshop.image('A'));
      await measure(words, { cold: false, signal });
      return { cost: (await measure(words, { cold: false, device, signal })).cost };
    });
  return { tool: 'image-unpacker apply, no change', attempt };
}
