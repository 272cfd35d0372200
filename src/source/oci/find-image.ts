import { ImageUnpackerError } from '../../image/error.js';
import type { Config, Descriptor } from './documents.js';
import { configSchema, indexSchema, layoutSchema, manifestSchema, parseDocument } from './documents.js';
import type { ImageFile, ImageFiles } from './files.js';
import { imageDamaged, imageUnsupported, readSmall } from './files.js';
import type { Platform } from './platform.js';
import { platformMatch, showPlatform } from './platform.js';
import { blobPath, checkSize, verified } from './verified.js';

/** A layer of an image. */
export interface Layer {
  /** How messages call it: its digest or its path. */
  name: string;
  file: ImageFile;
  /** Of its bytes as they are; undefined if nothing tells it. */
  digest: string | undefined;
  /** Of its bytes without compression. */
  diffId: string;
}

/** Which image of several is meant. */
export interface Choice {
  /** The tag or reference that the user named. */
  reference: string | undefined;
  platform: Platform;
}

/** The most bytes of an index, a manifest or a config: registries take 4 MiB. */
export const MAX_DOCUMENT_BYTES = 4 << 20;
/** An index may name others. */
const MAX_DEPTH = 4;
const MAX_CANDIDATES = 1024;

const INDEXES = new Set([
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
]);
const MANIFESTS = new Set([
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
]);
const CONFIGS = new Set([
  'application/vnd.oci.image.config.v1+json',
  'application/vnd.docker.container.image.v1+json',
]);
const LAYER =
  /^application\/vnd\.(oci\.image\.layer\.(nondistributable\.)?v1\.tar(\+gzip|\+zstd)?|docker\.image\.rootfs\.(foreign\.)?diff\.tar(\.gzip|\.zstd)?)$/;
const REFERENCE_KEYS = ['org.opencontainers.image.ref.name', 'io.containerd.image.name'];

/** A few indexes that name each other often enough would be read for ever. */
const MAX_INDEXES = 1024;

/** The manifests that are in the layout, and how many indexes they were found in. */
interface Found {
  candidates: Candidate[];
  indexes: number;
}

/** A manifest that is in the layout. */
interface Candidate {
  descriptor: Descriptor;
  references: readonly string[];
}

/** An image, and what it is for. */
interface Described {
  candidate: Candidate;
  platform: Platform;
}

/**
 * The layers, the lowest first, of the one image of an OCI layout that is chosen. Throws `SOURCE_MISSING` if there is
 * none or several, saying what there is, `SOURCE_DAMAGED`, `SOURCE_UNSUPPORTED`.
 */
export async function findLayoutImage(files: ImageFiles, choice: Choice): Promise<Layer[]> {
  await readDocument(files, 'oci-layout', layoutSchema);
  const { manifests } = await readDocument(files, 'index.json', indexSchema);
  const found: Found = { candidates: [], indexes: 0 };
  await collect(files, manifests, [], 0, found);
  const { candidates } = found;
  const named = candidates.filter(({ references }) => isNamed(references, choice.reference));
  const images: Described[] = [];
  for (const candidate of named) {
    const described = await describe(files, candidate);
    if (described !== undefined) images.push(described);
  }
  const { candidate } = chooseImage(
    files.location,
    images.length === 0 && choice.reference !== undefined
      ? candidates.map(each => ({ candidate: each, platform: platformOf(each.descriptor) }))
      : images,
    choice,
    each => each.candidate.references,
    each => each.candidate.descriptor.digest,
  );
  return layersOf(files, candidate.descriptor);
}

async function collect(
  files: ImageFiles,
  descriptors: readonly Descriptor[],
  inherited: readonly string[],
  depth: number,
  found: Found,
): Promise<void> {
  for (const descriptor of descriptors) {
    const own = REFERENCE_KEYS.map(key => descriptor.annotations?.[key]).filter(each => each !== undefined);
    const references = [...inherited, ...own];
    if (INDEXES.has(descriptor.mediaType ?? '')) {
      if (depth === MAX_DEPTH) throw imageUnsupported(files.location, 'its indexes are nested too deeply');
      if (++found.indexes > MAX_INDEXES)
        throw imageUnsupported(files.location, `it has more than ${String(MAX_INDEXES)} indexes`);
      const index = parseDocument(
        indexSchema,
        await readBlob(files, descriptor),
        files.location,
        descriptor.digest,
      );
      await collect(files, index.manifests, references, depth + 1, found);
    } else if (MANIFESTS.has(descriptor.mediaType ?? '')) {
      found.candidates.push({ descriptor, references });
      if (found.candidates.length > MAX_CANDIDATES)
        throw imageUnsupported(files.location, `it has more than ${String(MAX_CANDIDATES)} images`);
    }
  }
}

function isNamed(references: readonly string[], wanted: string | undefined): boolean {
  return wanted === undefined || references.includes(wanted);
}

function platformOf({ platform }: Descriptor): Platform {
  return platform ?? { os: '', architecture: '' };
}

/** What an image is for; undefined if it is none, but an attestation or some other artefact. */
async function describe(files: ImageFiles, candidate: Candidate): Promise<Described | undefined> {
  const { descriptor } = candidate;
  if (descriptor.platform?.os !== undefined && descriptor.platform.os !== '')
    return descriptor.platform.os === 'unknown' ? undefined : { candidate, platform: descriptor.platform };
  const manifest = parseDocument(
    manifestSchema,
    await readBlob(files, descriptor),
    files.location,
    descriptor.digest,
  );
  if (!CONFIGS.has(manifest.config.mediaType ?? '')) return undefined;
  const { os, architecture, variant } = await readConfig(files, manifest.config);
  return { candidate, platform: { os, architecture, variant } };
}

/**
 * The one of `images` that is meant. The same image under two names is one. Throws `SOURCE_MISSING`, listing what there
 * is, if none or several are.
 */
export function chooseImage<I extends { platform: Platform }>(
  location: string,
  images: readonly I[],
  { reference, platform }: Choice,
  referencesOf: (image: I) => readonly string[],
  digestOf: (image: I) => string,
): I {
  const named = images.filter(image => isNamed(referencesOf(image), reference));
  const isUnknown = named.every(image => showPlatform(image.platform) === '');
  const matches = isUnknown
    ? named.map(() => 2)
    : named.map(image => platformMatch(image.platform, platform));
  const best = Math.max(0, ...matches);
  const chosen = new Map<string, I>();
  for (const [at, image] of named.entries())
    if (best > 0 && matches[at] === best && !chosen.has(digestOf(image))) chosen.set(digestOf(image), image);
  const [first] = chosen.values();
  if (chosen.size === 1) return first!;
  const details = images.map(image =>
    [digestOf(image).slice(0, 19), showPlatform(image.platform), ...referencesOf(image)].join(' '),
  );
  const wanted = `${reference === undefined ? '' : `called ${reference} `}for ${showPlatform(platform)}`;
  const what = chosen.size === 0 ? `no image ${wanted}` : `${String(chosen.size)} images ${wanted}`;
  const has = details.length === 0 ? 'it has none at all' : `it has ${details.slice(0, 20).join('; ')}`;
  const message = `There ${chosen.size > 1 ? 'are' : 'is'} ${what} in ${location}: ${has}; name one with :TAG and --platform`;
  throw new ImageUnpackerError('SOURCE_MISSING', message, { path: location, details });
}

async function layersOf(files: ImageFiles, descriptor: Descriptor): Promise<Layer[]> {
  const { location } = files;
  const manifest = parseDocument(
    manifestSchema,
    await readBlob(files, descriptor),
    location,
    descriptor.digest,
  );
  if (!CONFIGS.has(manifest.config.mediaType ?? ''))
    throw imageUnsupported(
      location,
      `${descriptor.digest} is no image, but ${manifest.config.mediaType ?? 'unknown'}`,
    );
  const diffIds = (await readConfig(files, manifest.config)).rootfs.diff_ids ?? [];
  if (diffIds.length !== manifest.layers.length)
    throw imageDamaged(location, `${descriptor.digest} has another number of layers than its config`);
  const layers: Layer[] = [];
  for (const [at, { digest, size, mediaType = '' }] of manifest.layers.entries()) {
    if (!LAYER.test(mediaType))
      throw imageUnsupported(
        location,
        `the layer ${digest} is of the type ${mediaType}, of which nothing is known`,
      );
    const file = await blobOf(files, digest);
    checkSize(file, size, digest, location);
    layers.push({ name: digest, file, digest, diffId: diffIds[at]! });
  }
  return layers;
}

async function readConfig(files: ImageFiles, descriptor: Descriptor): Promise<Config> {
  return parseDocument(configSchema, await readBlob(files, descriptor), files.location, descriptor.digest);
}

async function blobOf(files: ImageFiles, digest: string): Promise<ImageFile> {
  const file = await files.find(blobPath(digest));
  if (file !== undefined) return file;
  throw imageDamaged(files.location, `there is no blob ${digest}`);
}

/** A document as it must be by its digest and size. */
async function readBlob(files: ImageFiles, { digest, size }: Descriptor): Promise<Buffer> {
  const { location } = files;
  const file = await blobOf(files, digest);
  checkSize(file, size, digest, location);
  const checked = { size, chunks: () => verified(file.chunks(), digest, location, 'the blob') };
  return readSmall(files, digest, checked, MAX_DOCUMENT_BYTES);
}

/** A document that nothing tells the digest of. */
export async function readDocument<S extends Parameters<typeof parseDocument>[0]>(
  files: ImageFiles,
  path: string,
  schema: S,
): Promise<ReturnType<typeof parseDocument<S>>> {
  const file = await files.find(path);
  if (file === undefined)
    throw imageUnsupported(files.location, `there is no ${path} in it, so it is no image`);
  return parseDocument(schema, await readSmall(files, path, file, MAX_DOCUMENT_BYTES), files.location, path);
}
