import { DISK_BLOCK_SIZE, diskBlocks, isBlockPresent } from '../../image/disk-map.js';
import type { DiskMap } from '../../image/disk-map.js';
import { ImageUnpackerError } from '../../image/error.js';
import type { DiskFormat, Piece } from './disk-format.js';

/*
 * QCOW2 (docs/interop/qcow2.txt of QEMU), version 3, all numbers big endian, in clusters of 64 KiB:
 *
 *   file            = header refcount-table refcount-blocks l1-table l2-tables data
 *   header          = magic version zero{12} cluster-bits size zero{4} l1-entries l1-offset refcount-offset
 *                     refcount-clusters zero{12} zero{24} refcount-order header-length, then zeros
 *   magic           = 51 46 49 FB
 *   version         = u32, 3
 *   cluster-bits    = u32, 16
 *   size            = u64, of the disk in bytes
 *   l1-entries      = u32, one for each 512 MiB of the disk
 *   l1-offset       = u64
 *   refcount-offset = u64
 *   refcount-clusters = u32, of the refcount table
 *   refcount-order  = u32, 4: 2^4 bits for each cluster
 *   header-length   = u32, 104
 *   refcount-table  = u64 for each refcount block: where it is
 *   refcount-blocks = u16 for each cluster of the file: 1 if it is in use
 *   l1-table        = u64 for each L2 table: where it is, with COPIED, or 0 if it is not in use
 *   l2-tables       = u64 for each cluster of the disk: where it is, with COPIED, or 0 if it reads as zeros
 *
 * Cluster n of the disk is always the nth of data, used or not, and every table has its place, used or not. So
 * the tables follow from which blocks of the disk are not zeros, and the file of a disk of the same size has
 * all its blocks in the same places. What is not in use is a hole.
 */

const CLUSTER_BITS = 16;
const CLUSTER = 1 << CLUSTER_BITS;
const HEADER_LENGTH = 104;
const REFCOUNT_ORDER = 4;
/** The cluster is referred to once, so that it can be written in place: bit 63. */
const COPIED = 1n << 63n;

const ENTRIES_PER_TABLE = CLUSTER / 8;
const REFCOUNTS_PER_BLOCK = CLUSTER / 2;
const CLUSTERS_PER_DISK_BLOCK = DISK_BLOCK_SIZE / CLUSTER;
/** Disks are counted in sectors. */
const SECTOR = 512n;

/** Where everything is, in clusters. */
interface Places {
  refcountTable: number;
  refcountBlocks: number;
  l1Table: number;
  l2Tables: number;
  data: number;
  /** Behind the last cluster. */
  end: number;
  l1Entries: number;
}

function placesOf(size: bigint): Places {
  if (size === 0n || size % SECTOR !== 0n) {
    const message = `A disk of ${String(size)} bytes can not be written as qcow2, which counts in sectors of 512; write it as raw`;
    throw new ImageUnpackerError('UNSUPPORTED', message);
  }
  const dataClusters = Number((size + BigInt(CLUSTER) - 1n) >> BigInt(CLUSTER_BITS));
  const l2Tables = Math.ceil(dataClusters / ENTRIES_PER_TABLE);
  const l1Clusters = Math.ceil(l2Tables / ENTRIES_PER_TABLE);
  const others = 1 + l1Clusters + l2Tables + dataClusters;
  // The blocks of counts and their table are clusters that are counted, too.
  let blocks = 0;
  let table = 0;
  while (blocks * REFCOUNTS_PER_BLOCK < others + table + blocks) {
    blocks = Math.ceil((others + table + blocks) / REFCOUNTS_PER_BLOCK);
    table = Math.ceil(blocks / ENTRIES_PER_TABLE);
  }
  const l1Table = 1 + table + blocks;
  const data = l1Table + l1Clusters + l2Tables;
  return {
    refcountTable: 1,
    refcountBlocks: 1 + table,
    l1Table,
    l2Tables: l1Table + l1Clusters,
    data,
    end: data + dataClusters,
    l1Entries: l2Tables,
  };
}

function headerOf(size: bigint, places: Places): Buffer {
  const header = Buffer.alloc(CLUSTER);
  header.write('QFI\xfb', 0, 'latin1');
  header.writeUInt32BE(3, 4);
  header.writeUInt32BE(CLUSTER_BITS, 20);
  header.writeBigUInt64BE(size, 24);
  header.writeUInt32BE(places.l1Entries, 36);
  header.writeBigUInt64BE(offsetOf(places.l1Table), 40);
  header.writeBigUInt64BE(offsetOf(places.refcountTable), 48);
  header.writeUInt32BE(places.refcountBlocks - places.refcountTable, 56);
  header.writeUInt32BE(REFCOUNT_ORDER, 96);
  header.writeUInt32BE(HEADER_LENGTH, 100);
  return header;
}

function offsetOf(cluster: number): bigint {
  return BigInt(cluster) << BigInt(CLUSTER_BITS);
}

/** Whether a cluster of the disk is in a block that is not all zeros. */
function isUsed(map: DiskMap, cluster: number): boolean {
  return isBlockPresent(map, Math.floor(cluster / CLUSTERS_PER_DISK_BLOCK));
}

/** Whether the nth L2 table has an entry. */
function isTableUsed(map: DiskMap, table: number): boolean {
  const perTable = ENTRIES_PER_TABLE / CLUSTERS_PER_DISK_BLOCK;
  const end = Math.min((table + 1) * perTable, diskBlocks(map.size));
  for (let block = table * perTable; block < end; block++) if (isBlockPresent(map, block)) return true;
  return false;
}

/** A cluster of numbers, the nth being `entry(n)`, at most `count` of them. */
function tableOf(count: number, entry: (at: number) => bigint): Buffer {
  const table = Buffer.alloc(CLUSTER);
  for (let at = 0; at < Math.min(count, ENTRIES_PER_TABLE); at++) table.writeBigUInt64BE(entry(at), at * 8);
  return table;
}

function* describe(map: DiskMap): Generator<Piece, void, undefined> {
  const places = placesOf(map.size);
  const piece = (cluster: number, bytes: Buffer): Piece => ({ offset: cluster * CLUSTER, bytes });
  const { refcountTable, refcountBlocks, l1Table, l2Tables, data, end, l1Entries } = places;
  yield piece(0, headerOf(map.size, places));
  for (let at = refcountTable; at < refcountBlocks; at++) {
    const first = (at - refcountTable) * ENTRIES_PER_TABLE;
    const count = l1Table - refcountBlocks - first;
    yield piece(
      at,
      tableOf(count, n => offsetOf(refcountBlocks + first + n)),
    );
  }
  const used: boolean[] = Array.from({ length: l1Entries }, (_, table) => isTableUsed(map, table));
  for (let at = refcountBlocks; at < l1Table; at++) {
    yield piece(at, refcountsOf(map, places, used, at - refcountBlocks));
  }
  for (let at = l1Table; at < l2Tables; at++) {
    const first = (at - l1Table) * ENTRIES_PER_TABLE;
    const entry = (n: number): bigint => (used[first + n]! ? offsetOf(l2Tables + first + n) | COPIED : 0n);
    yield piece(at, tableOf(l1Entries - first, entry));
  }
  for (let table = 0; table < l1Entries; table++) {
    const first = table * ENTRIES_PER_TABLE;
    const entry = (n: number): bigint => (isUsed(map, first + n) ? offsetOf(data + first + n) | COPIED : 0n);
    yield piece(l2Tables + table, tableOf(end - data - first, entry));
  }
}

function refcountsOf(map: DiskMap, places: Places, used: readonly boolean[], block: number): Buffer {
  const counts = Buffer.alloc(CLUSTER);
  const first = block * REFCOUNTS_PER_BLOCK;
  const last = Math.min(first + REFCOUNTS_PER_BLOCK, places.end);
  for (let cluster = first; cluster < last; cluster++) {
    let inUse = true;
    if (cluster >= places.data) inUse = isUsed(map, cluster - places.data);
    else if (cluster >= places.l2Tables) inUse = used[cluster - places.l2Tables]!;
    if (inUse) counts.writeUInt16BE(1, (cluster - first) * 2);
  }
  return counts;
}

/** A disk as QEMU and most others take it. */
export const qcow2Format: DiskFormat = {
  dataOffset: size => placesOf(size).data * CLUSTER,
  fileSize: size => placesOf(size).end * CLUSTER,
  description: describe,
};
