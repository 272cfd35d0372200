import { BLOCK_SIZE } from '../../image/entry.js';
import { throwIfAborted } from '../../image/error.js';

/** Whole blocks of `BLOCK_SIZE` bytes, numbered from 0, that never change while they are read. */
export interface BlockReader {
  /** How many whole blocks there are. */
  readonly blocks: number;
  /** Fills the start of `into` with `count` blocks from `block` on. Throws `DEVICE_FAILED` when it cannot. */
  read(block: number, count: number, into: Buffer): Promise<void>;
}

/** Blocks to be read, and what they are for. */
export interface Run<T> {
  block: number;
  count: number;
  of: T;
}

/** Blocks that were read: `count` blocks of `run`, from its block `from` on. */
export interface Piece<T> {
  run: Run<T>;
  from: number;
  count: number;
  data: Buffer;
}

interface Batch<T> {
  block: number;
  count: number;
  parts: { run: Run<T>; from: number; count: number }[];
}

/** One read: large enough for full speed on disks and networks, small enough to overlap. */
export const BATCH_BLOCKS = 256;
/** Blocks between two runs that are cheaper to read along than to skip. */
const GAP_BLOCKS = 16;
/** Reads under way at once; libuv has four threads for them. */
const DEPTH = 4;

/**
 * Reads `runs` in their order, neighbours together, ahead of the consumer. Runs that are no longer
 * than `BATCH_BLOCKS` come in one piece. The data is lent: it is valid until the next step.
 */
export async function* readRuns<T>(
  reader: BlockReader,
  runs: Iterable<Run<T>>,
  signal?: AbortSignal,
): AsyncGenerator<Piece<T>[], void, undefined> {
  const spare: Buffer[] = [];
  const batches = batchesOf(runs);
  const ahead: { batch: Batch<T>; buffer: Buffer; done: Promise<void> }[] = [];
  const begin = (): void => {
    const next = batches.next();
    if (next.done === true) return;
    const batch = next.value;
    const buffer = spare.pop() ?? Buffer.allocUnsafeSlow(BATCH_BLOCKS * BLOCK_SIZE);
    const done = reader.read(batch.block, batch.count, buffer);
    // It is awaited below, or by the settling at the end: until then its failure must not count as lost.
    done.catch(() => undefined);
    ahead.push({ batch, buffer, done });
  };
  try {
    for (let started = 0; started < DEPTH; started++) begin();
    for (let read = ahead.shift(); read !== undefined; read = ahead.shift()) {
      throwIfAborted(signal);
      await read.done;
      const { batch, buffer } = read;
      yield batch.parts.map(({ run, from, count }) => {
        const start = (run.block + from - batch.block) * BLOCK_SIZE;
        return { run, from, count, data: buffer.subarray(start, start + count * BLOCK_SIZE) };
      });
      spare.push(buffer);
      begin();
    }
  } finally {
    // The descriptor may be closed after us: no read may still be under way.
    await Promise.allSettled(ahead.map(read => read.done));
  }
}

function* batchesOf<T>(runs: Iterable<Run<T>>): Generator<Batch<T>, void, undefined> {
  let batch: Batch<T> | undefined;
  for (const run of runs) {
    for (let from = 0; from < run.count; from += BATCH_BLOCKS) {
      const count = Math.min(run.count - from, BATCH_BLOCKS);
      const block = run.block + from;
      if (batch !== undefined && joins(batch, block, count)) {
        batch.count = block + count - batch.block;
      } else {
        if (batch !== undefined) yield batch;
        batch = { block, count, parts: [] };
      }
      batch.parts.push({ run, from, count });
    }
  }
  if (batch !== undefined) yield batch;
}

function joins<T>(batch: Batch<T>, block: number, count: number): boolean {
  const gap = block - (batch.block + batch.count);
  return gap >= 0 && gap <= GAP_BLOCKS && block + count - batch.block <= BATCH_BLOCKS;
}

/** Reads one run of at most `BATCH_BLOCKS` into a buffer of its own. */
export async function readBlocks(reader: BlockReader, block: number, count: number): Promise<Buffer> {
  const data = Buffer.allocUnsafeSlow(count * BLOCK_SIZE);
  await reader.read(block, count, data);
  return data;
}
