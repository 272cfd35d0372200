import type { ApplyResult } from '../../volume/apply-result.js';
import { command } from '../command.js';
import { bootOptions, bootOptionsOf, diskOptions, diskOptionsOf } from './boot-options.js';
import { flag, oneOf, optional, required, withDefault } from '../option.js';
import { storeOptions, withStore } from '../open-store.js';
import { showCount, showCountOf, showDuration, showSize, showText } from '../show.js';
import { volumeOptions, withState } from './volume-options.js';
import { findImage } from '../../store/find-image.js';

const DETAILS = `The device is changed only where it differs from the image. Nothing is written before
all that is needed is there and verified. When it is interrupted, running it again carries on.
The default layout is what is on the device; one that is formatted becomes a disk that boots if
the image has a kernel. Kernels and boot loaders are found in the image; how it boots is as the
options of this call say, or, when none is given, as those of the last.
Without --format a device that holds no volume of ours is refused; --format never re-makes ours.
A device that is mounted, in use, or the machine's own is always refused.`;

export const applyCommand = command({
  name: 'apply',
  summary: 'Make the file system on a device exactly an image',
  details: DETAILS,
  options: {
    ...volumeOptions,
    image: required('--image <name>', 'the image: STREAM/LEAF, or STREAM@CHANNEL'),
    layout: optional(
      '--layout <layout>',
      'whole: one file system on the device; disk: partitions and boot loaders; default: what is there',
      oneOf('whole', 'disk'),
    ),
    verify: withDefault(
      '--verify <how>',
      'auto: trust what is known of the volume; full: read all of it',
      'auto' as const,
      oneOf('auto', 'full'),
    ),
    format: flag('--format', 'a device that holds no file system of ours may be given one'),
    scrub: flag('--scrub', 'zero what is in no use on it: nothing is left of what was there before'),
    ...bootOptions,
    ...diskOptions,
    ...storeOptions,
  },
  run: async ({ options, signal, progress }) => {
    const { device, image, layout, verify, format, scrub, stateDir } = options;
    const [boot, disk] = [bootOptionsOf(options), diskOptionsOf(options)];
    const { applyImage } = await import('../../volume/apply.js');
    return withStore(options, signal, async store => {
      const record = await findImage(store, image);
      return withState(stateDir, state =>
        applyImage({
          device,
          image: record,
          store,
          state,
          layout,
          boot,
          disk,
          verify,
          format,
          scrub,
          progress,
          signal,
        }),
      );
    });
  },
  show: showApplied,
});

function showApplied(result: ApplyResult): string {
  const { added, removed, changed, unchanged } = result.entries;
  const written =
    result.blocksWritten === null
      ? `${showSize(result.bytesWritten)} written`
      : `${showSize(result.bytesWritten)} written to ${showCountOf(result.blocksWritten, 'block')} of 512 KiB`;
  const from = result.from === null ? '' : ` (from ${showText(result.from)})`;
  const boots =
    result.boot === null
      ? ''
      : `; boots ${result.boot.kernels[0] ?? ''} (${result.boot.architecture}, ${result.boot.bootMode})`;
  return [
    ...result.warnings.map(warning => `WARNING: ${showText(warning)}`),
    `${showText(result.image)}${from} in ${showDuration(result.seconds.total)}`,
    `${showCount(added)} added, ${showCount(removed)} removed, ${showCount(changed)} changed, ${showCount(unchanged)} unchanged; ${written}; scan: ${result.scan}${showText(boots)}`,
  ].join('\n');
}
