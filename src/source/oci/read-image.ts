import type { Stats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { ImageUnpackerError } from '../../image/error.js';
import { DEFAULT_LIMITS } from '../../image/settable-limits.js';
import type { ObjectSink } from '../sink.js';
import type { Tree, TreeOptions } from '../tree.js';
import { dockerArchive } from './docker-archive.js';
import { findDockerImage, refuseStandardInput } from './find-docker-image.js';
import { findLayoutImage } from './find-image.js';
import { layoutDirectory } from './layout-directory.js';
import type { Platform } from './platform.js';
import { readLayers } from './read-layers.js';

/*
 *   source     = "oci:" directory [":" tag] | "docker-archive:" file [":" tag]
 *
 * A directory or file may have colons in its name, and so may a tag: the shortest beginning that is there counts, the
 * whole before all.
 */
const SOURCE = /^(oci|docker-archive):(.*)$/s;

export interface ImageSource {
  kind: 'oci' | 'docker-archive';
  location: string;
}

/** Takes apart what a user calls a container image; undefined if it is none. */
export function parseImageSource(text: string): ImageSource | undefined {
  const [, kind, location] = SOURCE.exec(text) ?? [];
  if (kind === undefined || location === undefined) return undefined;
  return { kind: kind as ImageSource['kind'], location };
}

/**
 * Reads a container image into a tree, its layers merged, and the data of its files into `sink`. Throws `SOURCE_*`;
 * `SOURCE_MISSING` when none or several are meant, saying what there is.
 */
export async function readImage(
  source: ImageSource,
  platform: Platform,
  sink: ObjectSink,
  options: TreeOptions,
): Promise<Tree> {
  const isLayout = source.kind === 'oci';
  refuseStandardInput(source.location);
  const { location, reference } = await locate(source.location, found =>
    isLayout ? found.isDirectory() : found.isFile(),
  );
  const choice = { reference, platform };
  const { limits = DEFAULT_LIMITS, signal } = options;
  const layers = isLayout
    ? await findLayoutImage(layoutDirectory(location), choice)
    : await findDockerImage(await dockerArchive(location, limits.sourceBytes, signal), choice);
  return readLayers({ location, layers }, sink, options);
}

const GIVE = 'give oci:DIRECTORY[:TAG] or docker-archive:FILE[:TAG]';

async function locate(
  text: string,
  isRight: (found: Stats) => boolean,
): Promise<{ location: string; reference: string | undefined }> {
  let other: string | undefined;
  const ends = [text.length, ...[...text.matchAll(/:/g)].map(({ index }) => index)];
  for (const end of ends) {
    const location = text.slice(0, end);
    const found = location === '' ? undefined : await stat(location).catch(notThere);
    if (found === undefined) continue;
    if (isRight(found)) return { location, reference: end === text.length ? undefined : text.slice(end + 1) };
    other ??= `${location} is a ${found.isDirectory() ? 'directory' : found.isFile() ? 'file' : 'special file'}`;
  }
  if (text === '') throw new ImageUnpackerError('USAGE', `No image is named; ${GIVE}`);
  const message = `There is no image at ${text}: ${other ?? 'there is nothing'}; ${GIVE}`;
  throw new ImageUnpackerError('SOURCE_MISSING', message, { path: text });
}

function notThere(reason: unknown): undefined {
  const { code } = reason as NodeJS.ErrnoException;
  if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
  throw ImageUnpackerError.from(reason, 'Cannot read the source');
}
