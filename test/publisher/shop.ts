import { existsSync, lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DISK_BLOCK_SIZE } from '../../src/image/disk-map.js';
import type { PublishEvent } from '../../src/publisher/event.js';
import type { PublishOptions } from '../../src/publisher/options.js';
import { publish } from '../../src/publisher/publish.js';
import type { ResultRow } from '../../src/publisher/row.js';
import type { LocalStore } from '../../src/store/local/store.js';
import { openLocalStore } from '../../src/store/local/store.js';
import { ModelDisk } from '../model/disk.js';
import { FakeUnpacker } from '../model/fake-unpacker.js';
import { manyFiles } from '../model/many-files.js';
import { storeImage } from '../model/stored-image.js';

export const STREAM = 'base/os';
export const BLOCKS = 24;
const FILLS: Record<number, number>[] = [
  { 0: 1, 1: 2, 2: 3, 20: 4 },
  { 0: 1, 1: 9, 3: 5, 20: 4 },
  { 0: 7, 1: 9, 3: 5, 23: 6 },
];

/** A store with the images base/os/1, /2 and /3, and what unpacks them, in a directory. */
export class Shop {
  readonly directory: string;
  readonly stateDirectory: string;
  readonly store: LocalStore;
  readonly unpacker: FakeUnpacker;
  readonly events: PublishEvent[] = [];

  private constructor(directory: string, store: LocalStore, unpacker: FakeUnpacker) {
    this.directory = directory;
    this.stateDirectory = join(directory, 'state');
    this.store = store;
    this.unpacker = unpacker;
  }

  static async open(directory: string): Promise<Shop> {
    const store = await openLocalStore(join(directory, 'store'), { create: true });
    const disks = new Map<string, ModelDisk>();
    for (const at of FILLS.keys()) {
      const name = `${STREAM}/${String(at + 1)}`;
      const known = (await store.list(STREAM)).find(image => image.name === name);
      const { digest } = known ?? (await storeImage(store, name, manyFiles(at + 1)));
      disks.set(digest, diskOf(at + 1));
    }
    return new Shop(directory, store, new FakeUnpacker(disks));
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  async publish(
    leaf: number,
    options: Pick<PublishOptions, 'targets'> & Partial<PublishOptions>,
  ): Promise<ResultRow[]> {
    return publish({ ...this.options, image: `${STREAM}/${String(leaf)}`, ...options });
  }

  get options() {
    const { store, unpacker, stateDirectory } = this;
    return { store, unpacker, stateDirectory, onEvent: (event: PublishEvent) => this.events.push(event) };
  }
}

/** The disk of an image of the shop. */
export function diskOf(leaf: number): ModelDisk {
  return ModelDisk.of(FILLS[leaf - 1]!, BLOCKS * DISK_BLOCK_SIZE);
}

/** All that is in a directory: paths, and when each was last changed. */
export function contentOf(directory: string): string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .map(name => {
      const { ino, mtimeMs, ctimeMs, size } = lstatSync(join(directory, name));
      return [name, ino, mtimeMs, ctimeMs, size].join(' ');
    })
    .sort();
}

/** The names of the files of a target: disks, half-written ones, records. */
export function filesOf(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort();
}
