import { ImageUnpackerError } from '../../image/error.js';
import type { Config } from './documents.js';
import { configSchema, dockerSchema, parseDocument } from './documents.js';
import type { ImageFile, ImageFiles } from './files.js';
import { imageDamaged, imageUnsupported, readSmall } from './files.js';
import type { Choice, Layer } from './find-image.js';
import { chooseImage, findLayoutImage, MAX_DOCUMENT_BYTES, readDocument } from './find-image.js';
import type { Platform } from './platform.js';
import { verified } from './verified.js';

/*
 * What `docker save` and others write:
 *
 *   manifest.json          [{Config, RepoTags, Layers}]: paths of the config and the layers
 *   HEX.json, HEX/layer.tar  up to Docker 24; HEX of the config is its SHA-256. A layer may be a symlink to another
 *   oci-layout, index.json, blobs/  an OCI layout as well, from Docker 25 on; then it counts, as it tells all digests
 *   repositories, HEX/json   for Docker before 1.10; not looked at
 */

/** An image of the archive. */
interface DockerImage {
  tags: readonly string[];
  layers: readonly string[];
  configPath: string;
  config: Config;
  platform: Platform;
}

/** The layers, the lowest first, of the one image of a Docker archive that is chosen. Throws as `findLayoutImage` does. */
export async function findDockerImage(files: ImageFiles, choice: Choice): Promise<Layer[]> {
  const isLayout =
    (await files.find('oci-layout')) !== undefined && (await files.find('index.json')) !== undefined;
  if (isLayout) return findLayoutImage(files, choice);
  if ((await files.find('manifest.json')) === undefined && (await files.find('repositories')) !== undefined)
    throw imageUnsupported(
      files.location,
      'it was saved by a Docker before 1.10; load it into a newer one and save it anew',
    );
  const manifests = await readDocument(files, 'manifest.json', dockerSchema);
  const images: DockerImage[] = [];
  for (const { Config: configPath, RepoTags, Layers } of manifests) {
    const config = await readConfig(files, configPath);
    images.push({ tags: RepoTags ?? [], layers: Layers ?? [], configPath, config, platform: config });
  }
  const image = chooseImage(
    files.location,
    images,
    choice,
    ({ tags }) => tags,
    each => each.configPath,
  );
  return layersOf(files, image);
}

async function readConfig(files: ImageFiles, path: string): Promise<Config> {
  const file = await fileOf(files, path);
  const hex = /^(?:blobs\/sha256\/)?([0-9a-f]{64})(?:\.json)?$/.exec(path)?.[1];
  if (hex === undefined)
    throw imageUnsupported(
      files.location,
      `the name of the config ${path} is no digest, so nothing tells if it is whole`,
    );
  const { location } = files;
  const checked = { ...file, chunks: () => verified(file.chunks(), `sha256:${hex}`, location, 'the config') };
  return parseDocument(
    configSchema,
    await readSmall(files, path, checked, MAX_DOCUMENT_BYTES),
    location,
    path,
  );
}

async function layersOf(files: ImageFiles, { config, layers, configPath }: DockerImage): Promise<Layer[]> {
  const diffIds = config.rootfs.diff_ids ?? [];
  if (diffIds.length !== layers.length)
    throw imageDamaged(files.location, `${configPath} tells of another number of layers than manifest.json`);
  const found: Layer[] = [];
  for (const [at, path] of layers.entries()) {
    const hex = /^blobs\/sha256\/([0-9a-f]{64})$/.exec(path)?.[1];
    const digest = hex === undefined ? undefined : `sha256:${hex}`;
    found.push({ name: path, file: await fileOf(files, path), digest, diffId: diffIds[at]! });
  }
  return found;
}

async function fileOf(files: ImageFiles, path: string): Promise<ImageFile> {
  const file = await files.find(path);
  if (file !== undefined) return file;
  throw imageDamaged(
    files.location,
    `manifest.json names ${JSON.stringify(path.slice(0, 200))}, which is not in it`,
  );
}

/** Throws `SOURCE_UNSUPPORTED` for an archive that is no file: it is read more than once. */
export function refuseStandardInput(location: string): void {
  if (location !== '-') return;
  const message =
    'A Docker archive is read more than once, so it cannot come from standard input; write it to a file';
  throw new ImageUnpackerError('SOURCE_UNSUPPORTED', message, { path: location });
}
