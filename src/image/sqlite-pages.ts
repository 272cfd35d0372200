import { ImageUnpackerError } from './error.js';

/*
 * The file of an SQLite database (sqlite.org/fileformat2.html), numbers big-endian:
 *
 *   database   page*, numbered from 1
 *   page 1     "SQLite format 3" NUL, u16 page size (1: 65,536), 2 bytes, u8 reserved bytes at the end of each page, 35 bytes,
 *              u32 encoding (1: UTF-8) at 56; its b-tree page begins at 100
 *
 * and of its write-ahead log, which holds what has been committed since:
 *
 *   log        u32 magic (0x377f0682, or 0x377f0683 where checksums are of big-endian words), u32 3007000, u32 page size,
 *              u32 checkpoint, u32 salt[2], u32 checksum[2] of all that; frame*
 *   frame      u32 page, u32 pages of the database if this commits a transaction (else 0), u32 salt[2], u32 checksum[2] of
 *              the first 8 bytes and the page, and of all before; the page
 *
 * The log ends at the first frame that is not of its salt or checksum; what comes after the last commit does not count.
 */

const MAGIC = 'SQLite format 3\0';
const HEADER_BYTES = 100;
const LOG_HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
const LOG_MAGIC = 0x377f0682;
const LOG_VERSION = 3_007_000;

/** A database of SQLite, as its log leaves it. Each page is given out once: no sound database asks twice for one. */
export class SqlitePages {
  /** Bytes of a page that are in use. */
  readonly usable: number;
  readonly #bytes: Buffer;
  readonly #pageSize: number;
  readonly #count: number;
  /** Where in the log the newest version of a page is. */
  readonly #logged: ReadonlyMap<number, Buffer>;
  readonly #given = new Set<number>();

  /** Throws `SOURCE_DAMAGED` for what is no database, `SOURCE_UNSUPPORTED` for one whose text is not UTF-8. */
  constructor(bytes: Buffer, log: Buffer) {
    if (bytes.length < HEADER_BYTES || bytes.toString('latin1', 0, MAGIC.length) !== MAGIC)
      throw damaged('it does not begin as a database of SQLite does');
    const stated = bytes.readUInt16BE(16);
    this.#pageSize = stated === 1 ? 65_536 : stated;
    if (this.#pageSize < 512 || (this.#pageSize & (this.#pageSize - 1)) !== 0)
      throw damaged(`pages cannot have ${String(stated)} bytes`);
    this.usable = this.#pageSize - bytes[20]!;
    if (this.usable < 480) throw damaged(`pages cannot have ${String(this.usable)} usable bytes`);
    this.#bytes = bytes;
    const { pages, count } = readLog(log, this.#pageSize);
    this.#logged = pages;
    this.#count = count ?? Math.floor(bytes.length / this.#pageSize);
    const encoding = (pages.get(1) ?? bytes).readUInt32BE(56);
    if (encoding > 1)
      throw new ImageUnpackerError('SOURCE_UNSUPPORTED', 'its text is UTF-16, which is not read here');
  }

  /** The bytes of a page. Throws `SOURCE_DAMAGED` if there is none, or it was given out before. */
  page(number: number): Buffer {
    if (number < 1 || number > this.#count)
      throw damaged(`it refers to page ${String(number)} of ${String(this.#count)}`);
    if (this.#given.has(number)) throw damaged(`page ${String(number)} is used twice`);
    this.#given.add(number);
    const start = (number - 1) * this.#pageSize;
    const page = this.#logged.get(number) ?? this.#bytes.subarray(start, start + this.#pageSize);
    if (page.length < this.#pageSize) throw damaged(`page ${String(number)} is cut short`);
    return page.subarray(0, this.usable);
  }

  /** Forgets which pages were given out. */
  begin(): void {
    this.#given.clear();
  }
}

/** The error of a database that contradicts itself. */
export function damaged(what: string): ImageUnpackerError {
  return new ImageUnpackerError('SOURCE_DAMAGED', what);
}

/** The pages that a log has, as of its last commit, and how many the database has then. A log that is none is empty, as for SQLite. */
function readLog(log: Buffer, pageSize: number): { pages: Map<number, Buffer>; count: number | undefined } {
  const none = { pages: new Map<number, Buffer>(), count: undefined };
  if (log.length < LOG_HEADER_BYTES) return none;
  const magic = log.readUInt32BE(0);
  if ((magic & 0xfffffffe) >>> 0 !== LOG_MAGIC || log.readUInt32BE(4) !== LOG_VERSION) return none;
  if (log.readUInt32BE(8) !== pageSize) return none;
  const isBigEndian = (magic & 1) === 1;
  const sum = new LogChecksum(isBigEndian);
  sum.add(log.subarray(0, 24));
  if (!sum.is(log, 24)) return none;
  const committed = new Map<number, Buffer>();
  let count: number | undefined;
  let pending = new Map<number, Buffer>();
  for (let at = LOG_HEADER_BYTES; at + FRAME_HEADER_BYTES + pageSize <= log.length;) {
    const frame = log.subarray(at, at + FRAME_HEADER_BYTES);
    const page = log.subarray(at + FRAME_HEADER_BYTES, (at += FRAME_HEADER_BYTES + pageSize));
    if (log.compare(frame, 8, 16, 16, 24) !== 0) break;
    sum.add(frame.subarray(0, 8));
    sum.add(page);
    if (!sum.is(frame, 16)) break;
    pending.set(frame.readUInt32BE(0), page);
    if (frame.readUInt32BE(4) === 0) continue;
    for (const [number, newest] of pending) committed.set(number, newest);
    pending = new Map();
    count = frame.readUInt32BE(4);
  }
  return { pages: committed, count };
}

/** The checksum of a log: two sums that run through all of it. */
class LogChecksum {
  readonly #isBigEndian: boolean;
  #first = 0;
  #second = 0;

  constructor(isBigEndian: boolean) {
    this.#isBigEndian = isBigEndian;
  }

  add(bytes: Buffer): void {
    const wordAt = (at: number): number =>
      this.#isBigEndian ? bytes.readUInt32BE(at) : bytes.readUInt32LE(at);
    for (let at = 0; at + 8 <= bytes.length; at += 8) {
      this.#first = (this.#first + wordAt(at) + this.#second) >>> 0;
      this.#second = (this.#second + wordAt(at + 4) + this.#first) >>> 0;
    }
  }

  is(bytes: Buffer, at: number): boolean {
    return bytes.readUInt32BE(at) === this.#first && bytes.readUInt32BE(at + 4) === this.#second;
  }
}
