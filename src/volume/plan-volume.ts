import { isDeepStrictEqual } from 'node:util';
import { crc32 } from 'node:zlib';
import { ImageUnpackerError } from '../image/error.js';
import { MAX_INDEX_BYTES } from '../image/limits.js';
import { decodeIndex } from '../image/manifest.js';
import { parseImageName } from '../image/name.js';
import { ManifestReader, pagesIn } from '../store/manifest-reader.js';
import type { ImageRecord, Store } from '../store/store.js';
import { placeBiosGrub } from './boot/bios-loader.js';
import { coreCache, NO_CACHE } from './boot/core-cache.js';
import { findKernels } from './boot/find-kernels.js';
import { ImageFiles } from './boot/image-files.js';
import { ofImage, ofMachine } from './boot/loader-source.js';
import type { BootFacts, BootOptions, DiskOptions } from './boot/options.js';
import type { BootPlan } from './boot/plan-boot.js';
import { planBoot } from './boot/plan-boot.js';
import { knownRecord } from './current-tree.js';
import type { BootArea, Piece } from './disk/boot-area.js';
import { bootArea } from './disk/boot-area.js';
import type { DiskShape } from './disk/disk-plan.js';
import {
  BIOS_BOOT,
  DEFAULT_SHAPE,
  ESP,
  extentOf,
  namesOf,
  partitionOf,
  planTable,
  withNames,
} from './disk/disk-plan.js';
import { encodeFat32 } from './disk/fat32.js';
import type { PartitionTable } from './disk/gpt.js';
import { encodeGuid } from './disk/gpt.js';
import type { DiskIdentity, Layout, VolumeIdentity } from './identity.js';
import { diskIdentity, volumeIdentity } from './identity.js';
import type { NewDisk, OpenVolume } from './open-volume.js';
import type { WantedTree } from './overlay-tree.js';
import { overlayTree } from './overlay-tree.js';
import type { StateDirectory } from './state-directory.js';

/** What a volume is to be made of. */
export interface VolumeRequest {
  image: ImageRecord;
  store: Store;
  /** Where what is known of volumes lies; without it loaders are linked anew. */
  state?: StateDirectory | undefined;
  /** Left out: what is on the device; on one that is formatted, `disk` if the image has a kernel, else `whole`. */
  layout?: Layout | undefined;
  /** Left out: as the volume was made to boot last. */
  boot?: BootOptions | undefined;
  disk?: DiskOptions | undefined;
  signal?: AbortSignal | undefined;
}

/** What a layout makes of an image. */
export interface WantedVolume {
  layout: Layout;
  /** The image's tree, with what the layout adds. */
  tree: WantedTree;
  /** Paths that the layout adds or changes, as they are shown, and what they hold by the digests of that in hex. */
  generated: string[];
  contents: ReadonlyMap<string, Buffer>;
  /** What a file system that is made is called. */
  identity: VolumeIdentity;
  /** What the disk, its partitions and its file system are to be called; left out where there are no partitions. */
  names: DiskIdentity | undefined;
  /** How a disk that is made is partitioned; left out where there are no partitions. */
  newDisk: NewDisk | undefined;
  /** What belongs beside the root partition of a disk with that table. */
  area: (table: PartitionTable) => BootArea;
  /** How it is made to boot. */
  boot: BootOptions;
  /** What is known of how it boots; null when it does not. */
  facts: BootFacts | null;
  warnings: string[];
}

/** Reads the index of an image's tree. */
async function openTree({ image, store }: VolumeRequest): Promise<WantedTree> {
  const digest = Buffer.from(image.digest, 'hex');
  const indexBytes = await store.read(digest, MAX_INDEX_BYTES);
  const index = decodeIndex(indexBytes);
  return { manifest: new ManifestReader(index, pagesIn(store, index), store.limits), indexBytes, digest };
}

/**
 * Finds out what a volume is to be. Throws `VOLUME_DIFFERENT` when it is laid out otherwise than is asked for, and
 * what `planBoot` throws.
 */
export async function planVolume(request: VolumeRequest, volume: OpenVolume): Promise<WantedVolume> {
  const tree = await openTree(request);
  const files = new ImageFiles(tree.manifest, request.store);
  const layout = await layoutOf(request, volume, files);
  const { stream } = parseImageName(request.image.name);
  const { uuid, hashSeed } = volumeIdentity(stream, layout);
  if (layout === 'whole') return { ...PLAIN, layout, tree, identity: { uuid, hashSeed }, boot: {} };
  const renamable = isRenamable(request, volume);
  const names = namesFor(request, volume, renamable);
  const disk = {
    layout,
    names,
    identity: { uuid: names.uuid, hashSeed, renamable },
    newDisk: { shape: shapeFor(request), identity: names },
    boot: given(request.boot ?? (await lastOptions(request.state, volume)) ?? {}),
  };
  if (disk.boot.boot === false)
    return { ...PLAIN, tree, ...disk, area: table => bootArea(withNames(table, names)) };
  const plan = await planBoot({
    files,
    options: disk.boot,
    sources: [ofImage(files), ofMachine()],
    partitions: { root: names.root, esp: names.esp, uuid: names.uuid },
    cache: request.state === undefined ? NO_CACHE : coreCache(request.state),
    signal: request.signal,
  });
  const { generated, facts, warnings } = plan;
  const area = areaOf(plan, names);
  // What does not fit is to be known before anything is written.
  area(volume.disk?.table ?? planTable(volume.device, disk.newDisk.shape, names));
  return {
    ...disk,
    tree: await overlayTree(tree, generated.entries),
    generated: generated.paths,
    contents: generated.contents,
    area,
    facts,
    warnings,
  };
}

/** What an image becomes that nothing is added to. */
const PLAIN = {
  generated: [],
  contents: new Map<string, Buffer>(),
  names: undefined,
  newDisk: undefined,
  area: (table: PartitionTable): BootArea => bootArea(table),
  facts: null,
  warnings: [],
};

async function layoutOf(
  { layout, boot }: VolumeRequest,
  volume: OpenVolume,
  files: ImageFiles,
): Promise<Layout> {
  const found = volume.layout;
  if (found === undefined) {
    if (layout !== undefined) return layout;
    return boot?.boot !== false && (await findKernels(files)).length > 0 ? 'disk' : 'whole';
  }
  if (layout === undefined || layout === found) return found;
  const { path } = volume;
  throw new ImageUnpackerError(
    'VOLUME_DIFFERENT',
    `${path} has a volume of ours with the layout ${found}, not ${layout}; leave out --layout, or wipe it with wipefs --all to have it made anew`,
    { device: path },
  );
}

/** Only what is said, as it is remembered. */
function given(options: BootOptions): BootOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

/** How a volume was made to boot last, if that is known. */
async function lastOptions(
  state: StateDirectory | undefined,
  { content }: OpenVolume,
): Promise<BootOptions | undefined> {
  if (state === undefined || content.kind !== 'ours') return undefined;
  return (await knownRecord(state, content.superblock))?.state?.disk?.boot;
}

function shapeFor({ disk = {} }: VolumeRequest): DiskShape {
  const { biosBootBytes = DEFAULT_SHAPE.biosBootBytes, espBytes = DEFAULT_SHAPE.espBytes } = disk;
  return { biosBootBytes, espBytes };
}

/** Whether a volume is called by its image: a choice that is made with the file system. */
function isRenamable({ disk: { identity } = {} }: VolumeRequest, { content, path }: OpenVolume): boolean {
  if (content.kind !== 'ours') return identity === 'image';
  const { renamable } = content.superblock;
  if (identity === undefined || renamable === (identity === 'image')) return renamable;
  const is = renamable ? 'image' : 'stream';
  const message = `The UUIDs of ${path} are those of its ${is}, which stays so; leave that out, or wipe it with wipefs --all to have it made anew`;
  throw new ImageUnpackerError('VOLUME_DIFFERENT', message, { device: path });
}

/** What a disk is called: by its stream once and for all, or by its image. */
function namesFor({ image }: VolumeRequest, { disk, content }: OpenVolume, renamable: boolean): DiskIdentity {
  const { stream } = parseImageName(image.name);
  if (renamable) return diskIdentity(stream, image.digest);
  const names = disk === undefined ? diskIdentity(stream) : namesOf(disk.table);
  const uuid = content.kind === 'ours' ? content.superblock.uuid : diskIdentity(stream).uuid;
  return { ...names, uuid };
}

/** The area of a plan; encoded once for each table. */
function areaOf({ bios, esp }: BootPlan, names: DiskIdentity): (table: PartitionTable) => BootArea {
  let made: { of: PartitionTable; area: BootArea } | undefined;
  return of => {
    if (isDeepStrictEqual(made?.of, of)) return made!.area;
    const table = withNames(of, names);
    const others: Piece[] = [];
    const espAt = extentOf(partitionOf(table, ESP));
    if (esp !== undefined) {
      const bytes = encodeFat32({
        size: Number(espAt.length),
        firstSector: Number(partitionOf(table, ESP).first),
        serial: crc32(encodeGuid(table.id)),
        label: 'EFI',
        files: esp,
      });
      others.push({ offset: Number(espAt.offset), bytes });
    }
    const biosAt = extentOf(partitionOf(table, BIOS_BOOT));
    const first = Number(partitionOf(table, BIOS_BOOT).first);
    const placed = bios && {
      ...placeBiosGrub(bios, first, Number(biosAt.length)),
      offset: Number(biosAt.offset),
    };
    made = { of, area: bootArea(table, { bios: placed, others }) };
    return made.area;
  };
}
