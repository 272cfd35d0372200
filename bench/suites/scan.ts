import { open } from 'node:fs/promises';
import { measure } from '../measure.js';
import { runCommand } from '../run-command.js';
import type { Contestant, Task } from '../task.js';
import type { Workshop } from '../workshop.js';
import { inShell, MOUNT, ours, UNMOUNT } from '../workshop.js';
import { SYNC } from './apply.js';

/** Somebody mounts the volume and looks at all of it: what is known by its superblock is known no more. */
const LOOK = `${MOUNT} && find "$MOUNT_POINT" -printf "%s %T@\\n" > /dev/null && ${UNMOUNT}`;

/** A volume with many small files is as it should be, but was mounted by others: it has to be looked through. */
export function scanSuite(workshop: Workshop): Task[] {
  const contestants = [ourTool(workshop), peer(workshop)];
  return [{ title: 'no change to S0, which others have mounted, warm', base: 'rsync', contestants }];
}

function ourTool(workshop: Workshop): Contestant {
  const { signal, store } = workshop;
  return {
    tool: 'image-unpacker',
    attempt: async () => {
      const image = await workshop.image('S0');
      return workshop.withOurs('S0', async (device, state) => {
        const places = ['--device', device, '--store', store, '--state-dir', state, '--image', image];
        const words = ours('image-unpacker', 'apply', '--json', ...places);
        const { cost, output } = await keepingWarm(workshop, device, () =>
          measure(words, { cold: false, device, signal }),
        );
        const { scan, seconds } = JSON.parse(output) as { scan: string; seconds: { scan: number } };
        return { cost, result: `scan: ${scan}, ${seconds.scan.toFixed(2)} s` };
      });
    },
  };
}

function peer(workshop: Workshop): Contestant {
  const { signal } = workshop;
  return {
    tool: 'rsync',
    attempt: () =>
      workshop.withPeer('S0', async device => {
        const environment = { ...workshop.environment('S0'), DEVICE: device };
        const options = { cold: false, device, environment, signal };
        return keepingWarm(workshop, device, () => measure(inShell(SYNC), options));
      }),
  };
}

/** What was read of a device stays in memory for as long as anybody has it open. */
async function keepingWarm<T>(workshop: Workshop, device: string, work: () => Promise<T>): Promise<T> {
  const held = await open(device);
  try {
    const environment = { ...workshop.environment('S0'), DEVICE: device };
    await runCommand(inShell(LOOK), { signal: workshop.signal, environment });
    return await work();
  } finally {
    await held.close();
  }
}
