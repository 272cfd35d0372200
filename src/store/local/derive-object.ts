import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { dataSizeOf } from '../../image/entry.js';
import { throwIfAborted } from '../../image/error.js';
import type { DataRange } from '../../image/other-holes.js';
import { dataRanges } from '../../image/other-holes.js';
import type { FileData } from '../derivable.js';
import { TemporaryObject } from './temporary-object.js';

const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
/** So much is read, hashed and written in some ten milliseconds, after which others have their turn. */
const TURN_BYTES = 4 << 20;
/** What stands for zeros instead of a place (native/store.cc). */
const ZEROS = 0xffff_ffff_ffff_ffffn;

/** Where the objects of `wanted` and `found` are files, and one that is in the making. */
export interface DerivationPaths {
  wanted: string;
  found: string;
  temporary: string;
}

/**
 * Makes the object of `wanted` of that of `found`. Resolves to whether that is what it was; else they differ in more than holes,
 * or what is there is damaged, and nothing has been stored. Throws `CANCELLED`, and what the system says when there is no such object.
 */
export async function deriveObject(
  paths: DerivationPaths,
  wanted: FileData,
  found: FileData,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const ranges = dataRanges(wanted.size, wanted.holes, found.holes);
  const file = await open(paths.found, READ);
  const temporary = new TemporaryObject(paths.temporary);
  try {
    const { size } = await file.stat({ bigint: true });
    if (size !== dataSizeOf(found.size, found.holes)) return false;
    for (const turn of turnsOf(ranges)) {
      throwIfAborted(signal);
      await temporary.append(file.fd, turn);
    }
    if (!(await temporary.digest()).equals(wanted.digest!)) return false;
    await temporary.publish(paths.wanted);
    return true;
  } finally {
    await temporary.discard();
    await file.close();
  }
}

/** The ranges in order, packed, as much of them together as is done in one turn. */
function* turnsOf(ranges: readonly DataRange[]): Generator<Buffer, void> {
  let turn: bigint[] = [];
  let room = BigInt(TURN_BYTES);
  for (const { at, length } of ranges) {
    for (let done = 0n; done < length;) {
      const count = length - done < room ? length - done : room;
      turn.push(at === undefined ? ZEROS : at + done, count);
      done += count;
      room -= count;
      if (room > 0n) continue;
      yield pack(turn);
      [turn, room] = [[], BigInt(TURN_BYTES)];
    }
  }
  if (turn.length > 0) yield pack(turn);
}

function pack(numbers: readonly bigint[]): Buffer {
  const packed = Buffer.alloc(numbers.length * 8);
  for (const [at, number] of numbers.entries()) packed.writeBigUInt64LE(number, at * 8);
  return packed;
}
