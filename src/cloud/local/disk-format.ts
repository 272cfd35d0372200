import type { DiskMap } from '../../image/disk-map.js';
import type { DiskFormatName } from './layout.js';
import { qcow2Format } from './qcow2.js';

/** A piece of a file. */
export interface Piece {
  readonly offset: number;
  readonly bytes: Buffer;
}

/**
 * How a disk lies in a file: block by block behind what describes it. So a copy of a file that shares its
 * blocks becomes the next disk by writing the blocks that differ, where they are.
 */
export interface DiskFormat {
  /** Where in the file the disk begins. Throws `UNSUPPORTED` for a size that the format does not know. */
  dataOffset(size: bigint): number;
  /** The size of the file. */
  fileSize(size: bigint): number;
  /**
   * All that stands before the disk, in order and without gaps, except for runs of zeros, which may be left
   * out. It follows from the map alone.
   */
  description(map: DiskMap): Iterable<Piece>;
}

/** The disk is the file. */
const rawFormat: DiskFormat = {
  dataOffset: () => 0,
  fileSize: size => Number(size),
  description: () => [],
};

export const DISK_FORMATS: Readonly<Record<DiskFormatName, DiskFormat>> = {
  raw: rawFormat,
  qcow2: qcow2Format,
};
