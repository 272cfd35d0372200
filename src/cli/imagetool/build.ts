import { command } from '../command.js';
import { parseDuration } from '../../image/duration.js';
import { storeOptions } from '../open-store.js';
import { argument, flag, keyValues, oneOf, optional, required, withDefault } from '../option.js';
import { showCountOf, showDuration, showSize, showText } from '../show.js';

/** What `build` says of the image that it made. */
export interface BuiltImage {
  name: string;
  digest: string;
  entries: number;
  bytes: bigint;
  newObjects: number;
  newBytes: number;
  /** Files that were known to be as they were at an earlier build, and not read; bytes of data. */
  skippedFiles: number;
  skippedBytes: number;
  seconds: number;
}

export const buildArguments = {
  name: argument('the image to make: STREAM/LEAF, such as base/debian-12/2026-11-23'),
};

export const buildOptions = {
  ...storeOptions,
  from: required('--from <source>', 'the content'),
  platform: optional(
    '--platform <platform>',
    "which image of a container image: OS/ARCHITECTURE[/VARIANT], such as linux/arm64; default: this machine's",
  ),
  filter: optional('--filter <file>', 'regular expressions of paths to leave out, one a line'),
  verify: withDefault(
    '--verify <how>',
    'auto: do not read the files of a directory that are as they were at an earlier build; full: read all',
    'auto' as const,
    oneOf('auto', 'full'),
  ),
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
  sign: optional('--sign <file>', 'the private key of Ed25519, in PEM, to sign the image with'),
  reuseName: flag('--reuse-name', 'take a name that an image with other content had, which was deleted'),
  annotations: keyValues(
    '--annotation <key=file>',
    'a file to keep with the image; may be given more than once',
  ),
};

export const buildCommand = command({
  name: 'build',
  summary: 'Make an image of a directory, a tar file or a container image',
  details: [
    'SOURCE is a directory, or a tar file, plain or compressed with gzip, xz or zstd; - is standard input.',
    'oci:DIRECTORY[:TAG] is an OCI image layout, docker-archive:FILE[:TAG] what docker save writes; layers are merged.',
    'A file of a directory is as it was if its inode, size, mtime and ctime are.',
    'The store is made if its directory does not exist or is empty.',
  ].join('\n'),
  arguments: buildArguments,
  options: buildOptions,
  run: async (context): Promise<BuiltImage> => {
    const { runBuild } = await import('./run-build.js');
    return runBuild(context);
  },
  show: built =>
    [
      `Built ${showText(built.name)} in ${showDuration(built.seconds)}`,
      `${showCountOf(built.entries, 'entry', 'entries')}, ${showSize(built.bytes)}; ${showCountOf(built.newObjects, 'new object')} of ${showSize(built.newBytes)}`,
      ...showSkipped(built),
      `Digest ${built.digest}`,
    ].join('\n'),
});

function showSkipped({ skippedFiles, skippedBytes }: BuiltImage): string[] {
  if (skippedFiles === 0) return [];
  return [`Not read, being as before: ${showCountOf(skippedFiles, 'file')} of ${showSize(skippedBytes)}`];
}
