import { rm, stat } from 'node:fs/promises';
import { measure } from '../measure.js';
import type { Attempt, Contestant, Task } from '../task.js';
import { withDevice } from '../volume.js';
import type { Workshop } from '../workshop.js';
import { ours } from '../workshop.js';

/** What is allocated of a file is counted so (stat(2)). */
const STAT_BLOCK_BYTES = 512;

/** The disk of a volume becomes a sparse file. What is written is the size of that file. */
export function captureSuite(workshop: Workshop): Task[] {
  const out = workshop.path('captured');
  const map = workshop.path('captured-map');
  const contestants = [
    contestant(workshop, out, 'image-unpacker', (device, state) =>
      ours('image-unpacker', 'capture', '--device', device, '--state-dir', state, '--out', out, '--map', map),
    ),
    contestant(workshop, out, 'e2image', device => ['e2image', '-ra', device, out]),
    contestant(workshop, out, 'dd', device => ['dd', `if=${device}`, `of=${out}`, 'bs=1M', 'conv=sparse']),
  ];
  return [{ title: 'capture a volume with A, cold', base: 'e2image', contestants }];
}

function contestant(
  workshop: Workshop,
  out: string,
  tool: string,
  command: (device: string, state: string) => string[],
): Contestant {
  const { signal } = workshop;
  const attempt = async (examine: boolean): Promise<Attempt> => {
    const { file, state } = await workshop.ourVolume('A');
    await rm(out, { force: true });
    const { cost } = await withDevice(file, signal, device =>
      measure(command(device, state), { cold: true, signal }),
    );
    const captured = { ...cost, written: (await stat(out)).blocks * STAT_BLOCK_BYTES };
    if (!examine) return { cost: captured };
    const result = await withDevice(out, signal, device => workshop.compare(device, 'A'));
    return { cost: captured, result };
  };
  return { tool, attempt };
}
