import { command } from '../command.js';
import { parseDuration } from '../duration.js';
import { storeOptions } from '../open-store.js';
import { argument, keyValues, optional, required } from '../option.js';
import { showCount, showDuration, showSize, showText } from '../show.js';

/** What `build` says of the image that it made. */
export interface BuiltImage {
  name: string;
  digest: string;
  entries: number;
  bytes: bigint;
  newObjects: number;
  newBytes: number;
  seconds: number;
}

export const buildArguments = {
  name: argument('the image to make: STREAM/LEAF, such as base/debian-12/2026-11-23'),
};

export const buildOptions = {
  ...storeOptions,
  from: required('--from <source>', 'the content'),
  filter: optional('--filter <file>', 'regular expressions of paths to leave out, one a line'),
  tags: keyValues('--tag <key=value>', 'a tag of the image; may be given more than once'),
  expiresIn: optional(
    '--expires-in <duration>',
    'when the image expires, such as 30d; default: never',
    parseDuration,
  ),
  mtimesFrom: optional(
    '--mtimes-from <image>',
    'the image whose times unchanged content keeps, or none; default: the newest of the stream',
  ),
  annotations: keyValues(
    '--annotation <key=file>',
    'a file to keep with the image; may be given more than once',
  ),
};

export const buildCommand = command({
  name: 'build',
  summary: 'Make an image of a directory or a tar file',
  details: [
    'SOURCE is a directory, or a tar file, plain or compressed with gzip, xz or zstd; - is standard input.',
    'The store is made if its directory does not exist or is empty.',
  ].join('\n'),
  arguments: buildArguments,
  options: buildOptions,
  run: async (context): Promise<BuiltImage> => {
    const { runBuild } = await import('./run-build.js');
    return runBuild(context);
  },
  show: ({ name, digest, entries, bytes, newObjects, newBytes, seconds }) =>
    [
      `Built ${showText(name)} in ${showDuration(seconds)}`,
      `${showCount(entries)} entries, ${showSize(bytes)}; ${showCount(newObjects)} new objects of ${showSize(newBytes)}`,
      `Digest ${digest}`,
    ].join('\n'),
});
