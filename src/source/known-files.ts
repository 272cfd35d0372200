import { DIGEST_BYTES, sha512 } from '../image/digest.js';
import { ByteWriter } from '../image/encoding.js';
import type { Hole } from '../image/entry.js';
import { nanosecondsOf, secondsOf } from '../image/time.js';
import type { ScanRecord } from './scan.js';

/*
 * What the files of a directory were when they were last read, so that those need not be read again that are
 * still the same. Integers are little-endian.
 *
 *   known   = "iuknown1" LF root *file seal
 *   root    = device:u64 inode:u64 born:u64         of the directory; born: nanoseconds since 1970
 *   file    = inode:u64 size:u64 mtimeSeconds:i64 ctimeSeconds:i64 mtimeNanoseconds:u32 ctimeNanoseconds:u32
 *             holes:16 bytes digest:64 bytes        holes: zeros without holes, else the start of the SHA-512
 *                                                   of *( start:u64 count:u64 )
 *   seal    = 64 bytes                              SHA-512 of all before it
 */

const MAGIC = Buffer.from('iuknown1\n');
const ROOT_BYTES = 24;
const HOLES_BYTES = 16;
const FACTS_BYTES = 40 + HOLES_BYTES;
const FILE_BYTES = FACTS_BYTES + DIGEST_BYTES;
const FIRST_FILE = MAGIC.length + ROOT_BYTES;
const NANOSECONDS = 1_000_000_000n;
/**
 * A file that was written to so shortly before it was looked at may be written to again within one tick of the
 * clock that its ctime comes from, and nobody could tell. That clock ticks every 10 ms or less often, and is
 * set right by another processor when the one that keeps it stands still.
 */
const MARGIN = 100_000_000n;
/** The same where a file system keeps whole seconds, or every other one. */
const COARSE_MARGIN = 3n * NANOSECONDS;

/** Which directory is meant: one that is made anew, or on another file system, is another. */
export interface SourceRoot {
  device: bigint;
  inode: bigint;
  /** When it was made, in nanoseconds since 1970; 0 where the file system does not tell. */
  born: bigint;
}

/** What of a file shows whether it is as it was. */
export type FileFacts = Pick<ScanRecord, 'inode' | 'size' | 'mtime' | 'ctime'> & { holes: readonly Hole[] };

/** The files of a directory as they were. */
export class KnownFiles {
  readonly #bytes: Buffer;
  readonly #places = new Map<bigint, number>();

  private constructor(bytes: Buffer) {
    this.#bytes = bytes;
    const end = bytes.length - DIGEST_BYTES;
    for (let at = FIRST_FILE; at < end; at += FILE_BYTES) this.#places.set(bytes.readBigUInt64LE(at), at);
  }

  /** What was written of the directory `root`; undefined if it was written of another one or is damaged. */
  static decode(bytes: Buffer, root: SourceRoot): KnownFiles | undefined {
    const end = bytes.length - DIGEST_BYTES;
    if (end < FIRST_FILE || (end - FIRST_FILE) % FILE_BYTES !== 0) return undefined;
    if (!bytes.subarray(0, FIRST_FILE).equals(packStart(root))) return undefined;
    if (!sha512(bytes.subarray(0, end)).equals(bytes.subarray(end))) return undefined;
    return new KnownFiles(bytes);
  }

  /** The digest of the data of a file, if all that is seen of it is as it was. */
  digestOf(file: FileFacts): Buffer | undefined {
    const at = this.#places.get(file.inode);
    if (at === undefined) return undefined;
    const end = at + FACTS_BYTES;
    if (!this.#bytes.subarray(at, end).equals(packFacts(file))) return undefined;
    return this.#bytes.subarray(end, end + DIGEST_BYTES);
  }
}

/**
 * Packs what a directory's files are, each with the digest of its data, as of the moment `seen` (nanoseconds
 * since 1970), at which nothing of them had been looked at. What may change unseen is left out.
 */
export function packKnownFiles(
  root: SourceRoot,
  files: Iterable<FileFacts & { digest: Buffer }>,
  seen: bigint,
): Buffer {
  const writer = new ByteWriter();
  writer.raw(packStart(root));
  for (const file of files) {
    const margin = nanosecondsOf(file.ctime) === 0 ? COARSE_MARGIN : MARGIN;
    if (file.ctime + margin >= seen) continue;
    writer.raw(packFacts(file));
    writer.raw(file.digest);
  }
  const bytes = writer.take();
  return Buffer.concat([bytes, sha512(bytes)]);
}

function packStart({ device, inode, born }: SourceRoot): Buffer {
  const start = Buffer.alloc(FIRST_FILE);
  let at = MAGIC.copy(start);
  for (const number of [device, inode, born]) at = start.writeBigUInt64LE(BigInt.asUintN(64, number), at);
  return start;
}

function packFacts({ inode, size, mtime, ctime, holes }: FileFacts): Buffer {
  const facts = Buffer.allocUnsafe(FACTS_BYTES);
  let at = facts.writeBigUInt64LE(inode);
  at = facts.writeBigUInt64LE(size, at);
  at = facts.writeBigInt64LE(secondsOf(mtime), at);
  at = facts.writeBigInt64LE(secondsOf(ctime), at);
  at = facts.writeUInt32LE(nanosecondsOf(mtime), at);
  at = facts.writeUInt32LE(nanosecondsOf(ctime), at);
  if (holes.length === 0) facts.fill(0, at);
  else sha512(packHoles(holes)).copy(facts, at, 0, HOLES_BYTES);
  return facts;
}

function packHoles(holes: readonly Hole[]): Buffer {
  const packed = Buffer.alloc(16 * holes.length);
  let at = 0;
  for (const { start, count } of holes) {
    at = packed.writeBigUInt64LE(start, at);
    at = packed.writeBigUInt64LE(count, at);
  }
  return packed;
}
