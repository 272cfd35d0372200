import { BLOCK_SIZE } from '../../src/image/entry.js';
import { refuseDamage } from '../../src/volume/ext4/damage.js';
import { surveyVolume } from '../../src/volume/ext4/survey.js';
import { readTree } from '../../src/volume/ext4/tree.js';
import { openVolume } from '../../src/volume/ext4/volume.js';
import { gather } from '../gather.js';
import { change, examine, EXT4_CODES, makeImage, readerOf } from './ext4-image.js';
import type { Random } from './random.js';
import type { Cases, Target } from './target.js';
import { accepts } from './target.js';

/** A file system of which a few blocks were changed, their checksums made right most of the time. */
export const ext4Target: Target = {
  name: 'ext4',
  prepare: async directory => {
    const image = makeImage(directory);
    const sound = await examine(image);
    return {
      attempt: async (random: Random) => {
        const changed = new Map<number, Buffer>();
        for (let count = 1 + random.below(3); count > 0; count--) change(image, sound, random, changed);
        try {
          return await accepts(EXT4_CODES, async () => {
            const report = random.onceIn(3) ? refuseDamage : (): void => undefined;
            const volume = await openVolume(readerOf(image), report);
            if (random.onceIn(4)) await surveyVolume(volume);
            else await gather((await readTree(volume)).entries);
          });
        } finally {
          for (const [block, before] of changed) before.copy(image, block * BLOCK_SIZE);
        }
      },
    } satisfies Cases;
  },
};
