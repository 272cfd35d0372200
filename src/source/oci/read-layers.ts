import type { Entry } from '../../image/entry.js';
import { DIGEST_BYTES } from '../../image/digest.js';
import { dataSizeOf } from '../../image/entry.js';
import { ImageUnpackerError } from '../../image/error.js';
import { DEFAULT_LIMITS } from '../../image/settable-limits.js';
import { decompress } from '../decompress.js';
import { InOrder } from '../in-order.js';
import { normalise } from '../normalise.js';
import type { ObjectSink } from '../sink.js';
import type { SourceEntry, SourceFile } from '../source.js';
import { plainTarSource } from '../tar/source.js';
import type { StoredCount, Tree, TreeOptions } from '../tree.js';
import { arrange, beginData, checkEntry } from '../tree.js';
import { TreeBuilder } from '../tree-builder.js';
import type { Layer } from './find-image.js';
import { imageDamaged } from './files.js';
import { verified } from './verified.js';
import { whiteoutOf } from './whiteout.js';

/** The layers of one image. */
export interface Layers {
  /** How messages call the image. */
  location: string;
  /** The lowest first. */
  layers: readonly Layer[];
}

/** Where data is, until it is known whether a later layer hides it. */
interface Place {
  layer: number;
  /** Which of the files with data of that layer. */
  file: number;
}

/** The files of one layer whose data is part of the image: their digests, once they are known. */
type Wanted = Map<number, Buffer | undefined>;

/**
 * Reads layers into a tree. They are read twice: first what all of them hold, then the data of those files that no
 * later layer hides, which alone is stored. Each reading checks all digests.
 *
 * Throws `SOURCE_*` as for tar files; `SOURCE_DAMAGED` naming the digest of what has other bytes.
 */
export async function readLayers(image: Layers, sink: ObjectSink, options: TreeOptions): Promise<Tree> {
  const builder = new TreeBuilder(options.limits ?? DEFAULT_LIMITS);
  await applyLayers(image, builder, options);
  const list = arrange(builder, options);
  const wanted = image.layers.map((): Wanted => new Map());
  for (const entry of list()) {
    const place = placeOf(entry);
    if (place !== undefined) wanted[place.layer]!.set(place.file, undefined);
  }
  const count = { newObjects: 0, newBytes: 0 };
  await storeWanted(image, wanted, sink, count, options);
  const entries = function* (): Generator<Entry, void, undefined> {
    for (const entry of list()) {
      const place = placeOf(entry);
      if (place === undefined) yield entry;
      else
        yield {
          ...(entry as typeof entry & { type: 'file' }),
          digest: wanted[place.layer]!.get(place.file)!,
        };
    }
  };
  return { ...count, skippedFiles: 0, skippedBytes: 0, entries };
}

async function applyLayers(
  { location, layers }: Layers,
  builder: TreeBuilder,
  options: TreeOptions,
): Promise<void> {
  const limits = options.limits ?? DEFAULT_LIMITS;
  const count = { data: 0n, entries: 0 };
  const reading = { bytesLeft: limits.sourceBytes };
  const step = options.progress.step('Reading layers', 'entries');
  try {
    for (const [at, layer] of layers.entries()) {
      builder.beginLayer();
      let files = 0;
      for await (const entry of entriesOf(location, layer, reading, options)) {
        checkEntry(entry, count, limits);
        step.update(++count.entries);
        const whiteout = whiteoutOf(entry.path);
        if (whiteout?.kind === 'path') builder.hide(whiteout.path);
        else if (whiteout?.kind === 'children') builder.hideBelow(whiteout.path);
        else if (entry.type === 'link') builder.link(entry);
        else if (entry.type === 'file') builder.add(normalise(withPlace(entry, at, () => files++)));
        else if (entry.type === 'directory') builder.add(normalise(entry));
        else builder.add(normalise({ ...entry, names: [] }));
      }
    }
  } finally {
    step.end();
  }
}

async function storeWanted(
  { location, layers }: Layers,
  wanted: readonly Wanted[],
  sink: ObjectSink,
  count: StoredCount,
  options: TreeOptions,
): Promise<void> {
  const reading = { bytesLeft: (options.limits ?? DEFAULT_LIMITS).sourceBytes };
  const step = options.progress.step('Storing files', 'files');
  const underWay = new InOrder();
  let stored = 0;
  try {
    for (const [at, layer] of layers.entries()) {
      const files = wanted[at]!;
      if (files.size === 0) continue;
      let next = 0;
      for await (const entry of entriesOf(location, layer, reading, options)) {
        if (entry.type !== 'file' || !hasData(entry) || whiteoutOf(entry.path) !== undefined) continue;
        const file = next++;
        if (!files.has(file) || entry.content.kind !== 'stream') continue;
        const { bytes, digest } = await beginData(entry, entry.content.chunks, sink, count);
        await underWay.add(digest, bytes, known => {
          files.set(file, known ?? undefined);
          step.update(++stored);
        });
      }
      await underWay.finish();
      // Unless somebody wrote to it meanwhile, in which case a digest has been wrong before.
      if ([...files.values()].includes(undefined))
        throw imageDamaged(location, `the layer ${layer.name} has changed`);
    }
  } finally {
    await underWay.settle();
    step.end();
  }
}

/** The entries of a layer. It is read to its end, and its digests are right when the last of them has come. */
async function* entriesOf(
  location: string,
  layer: Layer,
  reading: { bytesLeft: number },
  { signal }: TreeOptions,
): AsyncGenerator<SourceEntry> {
  const stop = new AbortController();
  const stopped = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
  const { file, digest, diffId, name } = layer;
  const packed =
    digest === undefined ? file.chunks() : verified(file.chunks(), digest, location, 'the layer');
  const plain = verified(
    decompress(packed, `the layer ${name}`, stopped),
    diffId,
    location,
    'the layer with the diff_id',
  );
  const counted = async function* (): AsyncGenerator<Buffer> {
    for await (const chunk of plain) {
      reading.bytesLeft -= chunk.length;
      yield chunk;
    }
  };
  const source = plainTarSource(counted, `the layer ${name}`, { sourceBytes: reading.bytesLeft });
  try {
    yield* source.entries(signal);
  } catch (reason) {
    // A layer may hold nothing: what only changes a setting of the image makes one.
    if (!(reason instanceof ImageUnpackerError && reason.code === 'SOURCE_EMPTY')) throw reason;
  } finally {
    stop.abort();
  }
}

function hasData({ size, holes }: SourceFile): boolean {
  return dataSizeOf(size, holes) > 0n;
}

/** A file with its place in the place of its digest. */
function withPlace({ content: _, ...file }: SourceFile, layer: number, next: () => number) {
  const entry = { ...file, names: [], digest: null };
  if (dataSizeOf(file.size, file.holes) === 0n) return entry;
  const digest = Buffer.alloc(DIGEST_BYTES);
  digest.writeUInt32BE(layer, 0);
  digest.writeUInt32BE(next(), 4);
  return { ...entry, digest };
}

function placeOf(entry: Entry): Place | undefined {
  if (entry.type !== 'file' || entry.digest === null) return undefined;
  return { layer: entry.digest.readUInt32BE(0), file: entry.digest.readUInt32BE(4) };
}
