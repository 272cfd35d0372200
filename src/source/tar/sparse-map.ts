import type { Segment } from '../../image/entry.js';
import type { ByteReader } from './byte-reader.js';
import { damaged, unsupported, type Place } from './fault.js';
import type { Header } from './header.js';
import { BLOCK_BYTES, MAX_FILE_SIZE, MAX_SPARSE_SEGMENTS } from './limits.js';
import { decodeDecimal, decodeNumber } from './number.js';
import type { PaxAttributes } from './pax-attributes.js';

/*
 * Sparse maps: which byte ranges of a file are stored (GNU tar manual, "Storing Sparse Files").
 *
 *   old GNU   typeflag S; four pairs of 12-byte numbers (offset, length) at 386 of the header, real size
 *             at 483; a byte at 482 says that a block of 21 pairs follows, whose byte at 504 says the
 *             same. Pairs end at the first that is empty
 *   PAX 0.0   GNU.sparse.size, .numblocks, and .offset and .numbytes in turn
 *   PAX 0.1   GNU.sparse.size, .numblocks, and .map = "offset,length,offset,length,..."
 *   PAX 1.0   GNU.sparse.major=1 .minor=0 .realsize; the data begins with the map in decimal numbers, each
 *             ended by a newline: how many pairs, then the pairs; filled up to whole blocks with NULs
 *
 * A last pair of length 0 only marks the end of the file. The data that follows is the ranges in order.
 */

export interface SparseMap {
  /** The size of the file with its holes. */
  size: bigint;
  /** Sorted, apart or touching, none of them empty, all within the size. */
  segments: Segment[];
  /** How many bytes of the stored data the map took at its beginning. */
  mapBytes: bigint;
}

const OLD_PAIRS = 386;
const OLD_CONTINUES = 482;
const OLD_REAL_SIZE = 483;
const MORE_CONTINUES = 504;
const NUMBER_BYTES = 12;
const PAIR_BYTES = 2 * NUMBER_BYTES;
/** The longest line in a map 1.0: nineteen digits are 2^63, and a newline. */
const MAX_LINE_BYTES = 20;

/**
 * Reads the map of a sparse file, up to where its data begins; undefined if the file has none.
 * `stored` is how many bytes the archive holds of it.
 *
 * Throws `SOURCE_DAMAGED` if the map does not fit the sizes, `SOURCE_UNSUPPORTED` if its version is not known.
 */
export async function readSparseMap(
  place: Place,
  reader: ByteReader,
  header: Header,
  attributes: PaxAttributes,
  stored: bigint,
): Promise<SparseMap | undefined> {
  const version = paxVersion(place, attributes);
  if (header.typeflag === 'S') {
    if (version !== undefined || header.format !== 'gnu') {
      throw unsupported(
        place,
        'it is sparse in a way that only its writer knows; pack it with tar --format=pax',
      );
    }
    const pairs = await readOldGnuPairs(place, reader, header);
    return checkedMap(place, pairs, oldGnuNumber(place, header.block, OLD_REAL_SIZE), stored, 0n);
  }
  if (version === undefined) return undefined;
  if (version === '0') {
    return checkedMap(
      place,
      paxPairs(place, attributes),
      required(place, attributes, 'GNU.sparse.size'),
      stored,
      0n,
    );
  }
  const { pairs, mapBytes } = await readLeadingMap(place, reader, stored);
  return checkedMap(
    place,
    pairs,
    required(place, attributes, 'GNU.sparse.realsize'),
    stored - mapBytes,
    mapBytes,
  );
}

function paxVersion(place: Place, { values, sparsePairs }: PaxAttributes): '0' | '1' | undefined {
  const isSparse = sparsePairs.length > 0 || [...values.keys()].some(key => key.startsWith('GNU.sparse.'));
  if (!isSparse) return undefined;
  const major = values.get('GNU.sparse.major')?.toString('latin1') ?? '0';
  const minor = values.get('GNU.sparse.minor')?.toString('latin1') ?? '0';
  if (major === '1' && minor === '0') return '1';
  if (major === '0' && (minor === '0' || minor === '1')) return '0';
  throw unsupported(
    place,
    'its sparse map is of a version that is not known; pack it with tar --sparse-version=1.0',
  );
}

function required(place: Place, { values }: PaxAttributes, key: string): bigint {
  const value = values.get(key);
  if (value === undefined) throw damaged(place, `it is sparse and has no ${key}`);
  return decodeDecimal(place, key, value);
}

async function readOldGnuPairs(place: Place, reader: ByteReader, header: Header): Promise<bigint[]> {
  const numbers: bigint[] = [];
  addOldGnuPairs(place, header.block, OLD_PAIRS, OLD_CONTINUES, numbers);
  for (let continues = header.block[OLD_CONTINUES] !== 0; continues;) {
    const block = await reader.read(BLOCK_BYTES);
    addOldGnuPairs(place, block, 0, MORE_CONTINUES, numbers);
    checkCount(place, BigInt(numbers.length / 2));
    continues = block[MORE_CONTINUES] !== 0;
  }
  return numbers;
}

function addOldGnuPairs(place: Place, block: Buffer, start: number, end: number, numbers: bigint[]): void {
  for (let at = start; at + PAIR_BYTES <= end && block[at + NUMBER_BYTES] !== 0; at += PAIR_BYTES) {
    numbers.push(oldGnuNumber(place, block, at), oldGnuNumber(place, block, at + NUMBER_BYTES));
  }
}

function oldGnuNumber(place: Place, block: Buffer, at: number): bigint {
  const value = decodeNumber(block.subarray(at, at + NUMBER_BYTES));
  if (value === undefined) throw damaged(place, 'its sparse map has something that is no number');
  return value;
}

function paxPairs(place: Place, attributes: PaxAttributes): bigint[] {
  const map = attributes.values.get('GNU.sparse.map');
  const numbers =
    map === undefined
      ? repeatedPairs(place, attributes)
      : map.toString('latin1').split(',').map(decimal(place));
  if (map !== undefined && attributes.sparsePairs.length > 0) throw damaged(place, 'it has two sparse maps');
  if (required(place, attributes, 'GNU.sparse.numblocks') * 2n !== BigInt(numbers.length)) {
    throw damaged(place, 'its sparse map is not as long as it says');
  }
  return numbers;
}

function decimal(place: Place): (text: string) => bigint {
  return text => decodeDecimal(place, 'sparse map', Buffer.from(text, 'latin1'));
}

function repeatedPairs(place: Place, { sparsePairs }: PaxAttributes): bigint[] {
  return sparsePairs.map(({ key, value }, index) => {
    const due = index % 2 === 0 ? 'GNU.sparse.offset' : 'GNU.sparse.numbytes';
    if (key !== due) throw damaged(place, 'the records of its sparse map are out of order');
    return decodeDecimal(place, key, value);
  });
}

async function readLeadingMap(
  place: Place,
  reader: ByteReader,
  stored: bigint,
): Promise<{ pairs: bigint[]; mapBytes: bigint }> {
  const pairs: bigint[] = [];
  let wanted: number | undefined;
  let mapBytes = 0n;
  let rest = '';
  while (wanted === undefined || pairs.length < wanted) {
    mapBytes += BigInt(BLOCK_BYTES);
    if (mapBytes > stored) throw damaged(place, 'its sparse map is longer than its data');
    const lines = (rest + (await reader.read(BLOCK_BYTES)).toString('latin1')).split('\n');
    rest = lines.pop()!;
    for (const line of lines) {
      const value = decimal(place)(line);
      if (wanted === undefined) wanted = checkCount(place, value) * 2;
      else if (pairs.length < wanted) pairs.push(value);
      else throw damaged(place, 'its sparse map goes on after its end');
    }
    if (pairs.length !== wanted && rest.length > MAX_LINE_BYTES)
      throw damaged(place, 'its sparse map is no map');
  }
  if (/[^\0]/.test(rest)) throw damaged(place, 'its sparse map goes on after its end');
  return { pairs, mapBytes };
}

function checkCount(place: Place, count: bigint): number {
  if (count <= MAX_SPARSE_SEGMENTS) return Number(count);
  throw unsupported(
    place,
    `it is in more than ${String(MAX_SPARSE_SEGMENTS)} pieces; pack it without --sparse`,
  );
}

function checkedMap(
  place: Place,
  numbers: readonly bigint[],
  size: bigint,
  stored: bigint,
  mapBytes: bigint,
): SparseMap {
  if (size < 0n || size > MAX_FILE_SIZE) throw damaged(place, 'its real size is no size');
  const segments: Segment[] = [];
  let end = 0n;
  let sum = 0n;
  for (let at = 0; at + 1 < numbers.length; at += 2) {
    const [offset, length] = [numbers[at]!, numbers[at + 1]!];
    if (length < 0n || offset < end || offset + length > size) {
      throw damaged(place, 'its sparse map has a range out of order or beyond its size');
    }
    end = offset + length;
    sum += length;
    if (length > 0n) segments.push({ offset, length });
  }
  if (numbers.length % 2 !== 0 || sum !== stored)
    throw damaged(place, 'its sparse map does not fit its data');
  return { size, segments, mapBytes };
}
