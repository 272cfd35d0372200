import { ImageUnpackerError } from '../../image/error.js';
import type { Channel } from '../../store/channel.js';
import { readAll, readable } from '../../store/read-all.js';
import { byAge } from '../../store/record.js';
import type { ChangePosition, Changed, ImageRecord, Store, StoreChanges } from '../../store/store.js';

/**
 * What the images, channels and disk maps of a source were when it was asked last. Of a source that tells what has changed
 * only that is asked for; whoever follows it anew, or was away for long, is told all.
 */
export class SourceView {
  #position: ChangePosition | undefined;
  #images = new Map<string, Changed<ImageRecord>>();
  #channels = new Map<string, Changed<Channel>>();
  #diskMaps = new Map<string, readonly Buffer[]>();

  /** Asks what has changed, or, of a store that cannot tell, for all. */
  async refresh(source: Store): Promise<void> {
    const told = await source.changes?.(this.#position);
    if (told === undefined) {
      const all = await readAll(source);
      [this.#images, this.#channels, this.#diskMaps] = [all.images, all.channels, all.diskMaps];
      return;
    }
    if (told.isWhole) for (const each of [this.#images, this.#channels, this.#diskMaps]) each.clear();
    this.#apply(told);
    this.#position = told.position;
  }

  /** Those that can be read, oldest first. */
  images(): ImageRecord[] {
    return readable(this.#images).sort(byAge);
  }

  channels(): Channel[] {
    return readable(this.#channels);
  }

  /** The digests of the disks whose maps are kept, by the digests of their images in hex. */
  diskMaps(): ReadonlyMap<string, readonly Buffer[]> {
    return this.#diskMaps;
  }

  /** What is there and cannot be read, and why: images and channels, by their names. */
  damaged(): Record<'images' | 'channels', ReadonlyMap<string, ImageUnpackerError>> {
    return { images: errorsIn(this.#images), channels: errorsIn(this.#channels) };
  }

  #apply({ images, channels, diskMaps }: StoreChanges): void {
    for (const [name, image] of images) setOrDelete(this.#images, name, image);
    for (const [name, channel] of channels) setOrDelete(this.#channels, name, channel);
    for (const [digest, maps] of diskMaps)
      setOrDelete(this.#diskMaps, digest, maps.length === 0 ? undefined : maps);
  }
}

function setOrDelete<T>(all: Map<string, T>, name: string, value: T | undefined): void {
  if (value === undefined) all.delete(name);
  else all.set(name, value);
}

function errorsIn<T>(all: ReadonlyMap<string, Changed<T>>): Map<string, ImageUnpackerError> {
  return new Map(
    [...all].flatMap(([name, each]) => (each instanceof ImageUnpackerError ? [[name, each]] : [])),
  );
}
