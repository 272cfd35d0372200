import { shallowMap, type BlockMap } from './block-map.js';
import { decodeInode, hasBlocks, typeOfInode, type Inode, type InodeType } from './inode.js';
import { surveyVolume, type Survey } from './survey.js';
import type { Ext4Volume } from './volume.js';

const INODES_PER_SLAB = 4096;

/** All inodes of a volume, kept as they are stored: decoded, they would take several times the room. */
export class InodeStore {
  readonly #volume: Ext4Volume;
  readonly #places = new Map<number, number>();
  readonly #slabs: Buffer[] = [];
  readonly #deepMaps = new Map<number, BlockMap>();

  private constructor(volume: Ext4Volume) {
    this.#volume = volume;
  }

  /** Reads the inodes of a volume, as `surveyVolume` does. */
  static async read(volume: Ext4Volume): Promise<{ store: InodeStore; survey: Survey }> {
    const store = new InodeStore(volume);
    const survey = await surveyVolume(volume, (stored, inode, deepMap) => {
      store.#add(stored.number, stored.bytes);
      if (deepMap !== undefined) store.#deepMaps.set(inode.number, deepMap);
    });
    return { store, survey };
  }

  #add(number: number, bytes: Buffer): void {
    const place = this.#places.size;
    const size = this.#volume.superblock.inodeSize;
    if (place % INODES_PER_SLAB === 0) this.#slabs.push(Buffer.allocUnsafeSlow(INODES_PER_SLAB * size));
    bytes.copy(this.#slabs.at(-1)!, (place % INODES_PER_SLAB) * size);
    this.#places.set(number, place);
  }

  /** How many inodes there are. */
  get size(): number {
    return this.#places.size;
  }

  /** The place of an inode among all, from 0, if it is in use and sound. */
  placeOf(number: number): number | undefined {
    return this.#places.get(number);
  }

  /** An inode, if it is in use and sound. */
  get(number: number): Inode | undefined {
    const place = this.#places.get(number);
    if (place === undefined) return undefined;
    return decodeInode(this.#bytesAt(place), number, this.#volume.superblock.seed);
  }

  #bytesAt(place: number): Buffer {
    const { inodeSize } = this.#volume.superblock;
    const start = (place % INODES_PER_SLAB) * inodeSize;
    return this.#slabs[Math.floor(place / INODES_PER_SLAB)]!.subarray(start, start + inodeSize);
  }

  /** Where the content of one of these inodes is. */
  mapOf(inode: Inode): BlockMap {
    const deep = this.#deepMaps.get(inode.number);
    if (deep !== undefined) return deep;
    return (hasBlocks(inode) ? shallowMap(this.#volume, inode) : undefined) ?? { extents: [], nodes: [] };
  }

  /** All inodes, in the order of their numbers. */
  *[Symbol.iterator](): Generator<Inode, void, undefined> {
    for (const number of this.#places.keys()) yield this.get(number)!;
  }

  /** The inodes of one type, in the order of their numbers. */
  *ofType(type: InodeType): Generator<Inode, void, undefined> {
    for (const [number, place] of this.#places) {
      if (typeOfInode(this.#bytesAt(place)) === type) yield this.get(number)!;
    }
  }
}
