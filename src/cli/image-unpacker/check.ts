import type { Difference, WantedContent } from '../../volume/check.js';
import type { OpenVolume } from '../../volume/open-volume.js';
import { command } from '../command.js';
import { EXIT_CODES } from '../exit-code.js';
import { bootOptions, bootOptionsOf } from './boot-options.js';
import { required } from '../option.js';
import { storeOptions, withStore } from '../open-store.js';
import { showCountOf, showText } from '../show.js';
import { volumeOptions, withState } from './volume-options.js';
import { findImage } from '../../store/find-image.js';

/** What `check --json` prints. */
interface CheckedVolume {
  image: string;
  identical: boolean;
  differences: readonly Difference[];
  generated: readonly string[];
}

export const checkCommand = command({
  name: 'check',
  summary: 'Compare all of a volume with an image',
  details: `Reads the file system from the device itself, by code that apply does not use, and writes
nothing. Exits with 1 and lists every difference when the volume is not exactly the image. Of a disk
its partition table, boot loaders and what was added to the image are checked as well, as the last
apply was told to make them, unless the options say otherwise.`,
  options: {
    ...volumeOptions,
    image: required('--image <name>', 'the image: STREAM/LEAF, or STREAM@CHANNEL'),
    ...bootOptions,
    ...storeOptions,
  },
  run: async ({ options, signal, progress }): Promise<CheckedVolume> => {
    const { checkVolume } = await import('../../volume/check.js');
    const { planVolume } = await import('../../volume/plan-volume.js');
    const { device } = options;
    const boot = bootOptionsOf(options);
    return withStore(options, signal, async store => {
      const image = await findImage(store, options.image);
      let generated: readonly string[] = [];
      const { identical, differences } = await withState(options.stateDir, state => {
        const wanted = async (volume: OpenVolume): Promise<WantedContent> => {
          const planned = await planVolume({ image, store, state, boot, signal }, volume);
          generated = planned.generated;
          const { tree, area, names } = planned;
          return { entries: tree.manifest.entries(), area, names };
        };
        return checkVolume({ device, wanted, signal, progress });
      });
      return { image: image.name, identical, differences, generated };
    });
  },
  show: showChecked,
  exitCode: ({ identical }) => (identical ? EXIT_CODES.done : EXIT_CODES.failed),
});

function showChecked({ image, differences }: CheckedVolume): string {
  if (differences.length === 0) return `The volume is exactly ${showText(image)}`;
  const lines = differences.map(({ path, what, detail }) => {
    const more = detail === undefined ? '' : ` (${showText(detail)})`;
    return `${showText(path)}: ${showText(what)}${more}`;
  });
  return [
    ...lines,
    `The volume is not ${showText(image)}: ${showCountOf(differences.length, 'difference')}`,
  ].join('\n');
}
