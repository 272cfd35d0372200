import { measure } from '../measure.js';
import type { Contestant, Task } from '../task.js';
import { withDevice } from '../volume.js';
import type { Workshop } from '../workshop.js';
import { inShell, ours } from '../workshop.js';

const MOUNT = 'mount -o ro,noload "$DEVICE" "$MOUNT_POINT"';
const RSYNC =
  'rsync -aHAX --numeric-ids --delete --exclude=/lost+found --dry-run --checksum "$TREE/" "$MOUNT_POINT/"';

/** A volume is compared with what it should be, all of it. */
export function checkSuite(workshop: Workshop): Task[] {
  const { store } = workshop;
  const state = workshop.path('check-state');
  const ourTool = contestant(workshop, 'image-unpacker', async device => {
    const image = await workshop.image('A');
    const places = ['--device', device, '--store', store, '--state-dir', state, '--image', image];
    return ours('image-unpacker', 'check', ...places);
  });
  const peer = contestant(workshop, 'rsync', () => Promise.resolve(inShell(`${MOUNT} && ${RSYNC}`)));
  return [{ title: 'check that a volume is A, cold', base: 'rsync', contestants: [ourTool, peer] }];
}

function contestant(
  workshop: Workshop,
  tool: string,
  command: (device: string) => Promise<string[]>,
): Contestant {
  const { signal } = workshop;
  return {
    tool,
    attempt: async () => {
      const { file } = await workshop.ourVolume('A');
      return withDevice(file, signal, async device => {
        const environment = { ...workshop.environment('A'), DEVICE: device };
        const words = await command(device);
        return { cost: (await measure(words, { cold: true, device, environment, signal })).cost };
      });
    },
  };
}
