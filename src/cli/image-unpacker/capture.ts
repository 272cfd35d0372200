import { command } from '../command.js';
import { optional, required } from '../option.js';
import { showCount, showCountOf, showSize } from '../show.js';
import { volumeOptions, withState } from './volume-options.js';

export const captureCommand = command({
  name: 'capture',
  summary: 'Write the disk of a clean volume to a sparse file',
  details: `The file holds what the file system has in use and nothing else: free blocks, unused inodes, the
journal's body and all slack are zeros. A volume that is not known to be clean, because work on it
was interrupted or because somebody else has written to it, is refused: apply repairs it.`,
  options: {
    ...volumeOptions,
    out: required('--out <file>', 'the file to write; one that is there is replaced'),
    map: optional('--map <file>', 'where to write the disk map: the digests of all blocks'),
    parentMap: optional(
      '--parent-map <file>',
      'the map of an earlier disk, to count the blocks that changed',
    ),
  },
  run: async ({ options, signal, progress }) => {
    const { captureVolume } = await import('../../volume/capture.js');
    const { requireClean } = await import('../../volume/require-clean.js');
    const { device, out, map, parentMap, stateDir } = options;
    return withState(stateDir, state =>
      captureVolume({
        device,
        out,
        map,
        parentMap,
        guard: opened => requireClean(state, opened),
        signal,
        progress,
      }),
    );
  },
  show: ({ digest, size, blocks, usedBlocks, changedBlocks }) =>
    [
      `disk digest ${digest}`,
      `${showSize(size)}, ${showCount(usedBlocks)} of ${showCountOf(blocks, 'block')} of 512 KiB in use, ${showCount(changedBlocks)} changed`,
    ].join('\n'),
});
