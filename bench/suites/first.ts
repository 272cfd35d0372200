import { rm } from 'node:fs/promises';
import { measure } from '../measure.js';
import type { Attempt, Task } from '../task.js';
import { makeBlankFile, withDevice } from '../volume.js';
import type { Workshop } from '../workshop.js';
import { FILL, FORMAT_WHOLE, inShell, ours } from '../workshop.js';

const BASE = 'mkfs and tar';

/** A blank device gets its first tree. */
export function firstSuite(workshop: Workshop): Task[] {
  const { store } = workshop;
  const state = workshop.path('first-state');
  const ourTool = {
    tool: 'image-unpacker',
    attempt: async (examine: boolean) => {
      const image = await workshop.image('A');
      await rm(state, { recursive: true, force: true });
      const places = ['--store', store, '--state-dir', state, '--image', image];
      return attemptOf(workshop, examine, device =>
        ours('image-unpacker', 'apply', '--json', '--device', device, ...places, ...FORMAT_WHOLE),
      );
    },
  };
  const peer = {
    tool: BASE,
    attempt: (examine: boolean) => attemptOf(workshop, examine, () => inShell(FILL)),
  };
  return [{ title: 'first apply of A to a blank device, cold', base: BASE, contestants: [ourTool, peer] }];
}

async function attemptOf(
  workshop: Workshop,
  examine: boolean,
  command: (device: string) => string[],
): Promise<Attempt> {
  const file = workshop.path('copy');
  await makeBlankFile(file, workshop.data.volumeBytes);
  return withDevice(file, workshop.signal, async device => {
    const environment = { ...workshop.environment('A'), DEVICE: device };
    const { cost } = await measure(command(device), {
      cold: true,
      device,
      environment,
      signal: workshop.signal,
    });
    return examine ? { cost, result: await workshop.compare(device, 'A') } : { cost };
  });
}
