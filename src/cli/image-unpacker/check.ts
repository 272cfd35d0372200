import type { Difference } from '../../volume/check.js';
import { command } from '../command.js';
import { EXIT_CODES } from '../exit-code.js';
import { required } from '../option.js';
import { storeOptions, withStore } from '../open-store.js';
import { showCount, showText } from '../show.js';
import { volumeOptions, withState } from './volume-options.js';

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
nothing. Exits with 1 and lists every difference when the volume is not exactly the image.`,
  options: { ...volumeOptions, image: required('--image <name>', 'the image'), ...storeOptions },
  run: async ({ options, signal, progress }): Promise<CheckedVolume> => {
    const { checkVolume } = await import('../../volume/check.js');
    const { ManifestReader } = await import('../../store/manifest-reader.js');
    return withStore(options, signal, async store => {
      const { name, digest } = await store.image(options.image);
      const manifest = await ManifestReader.open(store, Buffer.from(digest, 'hex'));
      const wanted = manifest.entries();
      const check = { device: options.device, wanted, signal, progress };
      const { identical, differences } = await withState(options.stateDir, () => checkVolume(check));
      return { image: name, identical, differences, generated: [] };
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
    `The volume is not ${showText(image)}: ${showCount(differences.length)} differences`,
  ].join('\n');
}
