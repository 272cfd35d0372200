import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { cancelled, ImageUnpackerError } from '../image/error.js';

/*
 * Decompression by what the first bytes say, never by a file's name.
 *
 * gzip is done by node:zlib. xz and zstd are done by their own programs, which run beside this process,
 * bound their memory, and check all of their input. (The zstd of node:zlib, where there is one, is not
 * used: it ends at the first of several frames as if that were all, and in Node 22 it takes a file that
 * was cut off for a whole one. pzstd and layers made for lazy pulling have many frames.)
 */

/** Output comes in chunks of this size: measured a fifth faster than the default of 16 KiB. */
const CHUNK_BYTES = 256 * 1024;
/** xz refuses to use more; `xz -9` needs 65 MiB. zstd has such a bound of its own. */
const XZ_MEMORY_BYTES = 512 * 1024 * 1024;
/** How much of what a program complains of is kept. */
const COMPLAINT_BYTES = 4096;
/** Where a tar file that is not compressed says "ustar". */
const USTAR_AT = 257;

/** A program that decompresses from its input to its output, and the package that has it. */
interface Tool {
  program: string;
  arguments: readonly string[];
  package: string;
}

/** How a compression is known by its first bytes and undone; it is refused if nothing does that. */
interface Format {
  name: string;
  magic: RegExp;
  method?: 'zlib' | Tool;
}

const XZ: Tool = {
  program: 'xz',
  arguments: ['-dc', `--memlimit-decompress=${String(XZ_MEMORY_BYTES)}`],
  package: 'xz-utils (Amazon Linux: xz)',
};
const ZSTD: Tool = { program: 'zstd', arguments: ['-dcq'], package: 'zstd' };

const FORMATS: readonly Format[] = [
  { name: 'gzip', magic: /^\x1f\x8b/, method: 'zlib' },
  { name: 'xz', magic: /^\xfd7zXZ\0/, method: XZ },
  { name: 'zstd', magic: /^(?:\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18)/, method: ZSTD },
  { name: 'bzip2', magic: /^BZh[1-9]/ },
  { name: 'lzip', magic: /^LZIP/ },
  { name: 'lz4', magic: /^\x04\x22\x4d\x18/ },
  { name: 'lzma', magic: /^\x5d\0\0/ },
  { name: 'lzop', magic: /^\x89LZO\0/ },
  { name: 'compress', magic: /^\x1f\x9d/ },
];
/** Longer than every magic, and enough to see where a tar file says what it is. */
const HEAD_BYTES = USTAR_AT + 5;

/** What is known of the bytes that are fed to a decompressor. */
interface Feed {
  bytes: number;
  /** Whether more of them are being waited for. */
  isWaiting: boolean;
  /** Whether they came to their end. */
  isAll: boolean;
  /** Why they did not. */
  failure?: Error;
}

/**
 * The bytes of `input` without their compression by gzip (of one or more members), xz or zstd; as they
 * are if they are not compressed. `name` is how messages call the input, which is expected to end by
 * itself when `signal` is aborted.
 *
 * Throws `SOURCE_DAMAGED` for data that is ill-formed, cut off or followed by something else,
 * `SOURCE_UNSUPPORTED` for another compression, `TOOL_MISSING` if the program for it is not installed,
 * `CANCELLED` when `signal` is aborted, and whatever `input` throws.
 */
export async function* decompress(
  input: AsyncIterable<Buffer>,
  name: string,
  signal?: AbortSignal,
): AsyncGenerator<Buffer> {
  const iterator = input[Symbol.asyncIterator]();
  const feed: Feed = { bytes: 0, isWaiting: false, isAll: false };
  try {
    const head = await readHead(iterator);
    const format = formatOf(head);
    const bytes = fed(head, iterator, feed);
    if (format === undefined) yield* bytes;
    else if (format.method === undefined) throw unknownCompression(name, format);
    else if (format.method === 'zlib') yield* gunzip(bytes, feed, name);
    else yield* runTool(format.method, bytes, feed, name, signal);
  } finally {
    const closing = iterator.return?.();
    // Input that is being waited for may not come; what went wrong is said without it.
    if (feed.isWaiting) closing?.catch(() => undefined);
    else await closing;
  }
}

async function readHead(iterator: AsyncIterator<Buffer>): Promise<Buffer> {
  let head: Buffer = Buffer.alloc(0);
  while (head.length < HEAD_BYTES) {
    const result = await iterator.next();
    if (result.done === true) break;
    head = head.length === 0 ? result.value : Buffer.concat([head, result.value]);
  }
  return head;
}

function formatOf(head: Buffer): Format | undefined {
  if (head.toString('latin1', USTAR_AT, HEAD_BYTES) === 'ustar') return undefined;
  const start = head.toString('latin1', 0, 8);
  return FORMATS.find(({ magic }) => magic.test(start));
}

async function* fed(head: Buffer, iterator: AsyncIterator<Buffer>, feed: Feed): AsyncGenerator<Buffer> {
  let chunk = head;
  for (;;) {
    feed.bytes += chunk.length;
    if (chunk.length > 0) yield chunk;
    try {
      feed.isWaiting = true;
      const result = await iterator.next();
      feed.isWaiting = false;
      if (result.done === true) break;
      chunk = result.value;
    } catch (reason) {
      feed.failure = reason as Error;
      throw reason;
    }
  }
  feed.isAll = true;
}

async function* gunzip(bytes: AsyncIterable<Buffer>, feed: Feed, name: string): AsyncGenerator<Buffer> {
  const stream = createGunzip({ chunkSize: CHUNK_BYTES });
  // What fails here fails the stream as well, or was kept in `feed`.
  pipeline(bytes, stream).catch(() => undefined);
  try {
    for await (const chunk of stream) yield chunk as Buffer;
  } catch (reason) {
    if (feed.failure !== undefined) throw feed.failure;
    const { code = '', message } = reason as NodeJS.ErrnoException;
    throw code.startsWith('Z_') ? damaged(name, 'gzip', message) : reason;
  }
  // The stream takes zeros after the last member for the end of everything.
  if (!feed.isAll || stream.bytesWritten !== feed.bytes)
    throw damaged(name, 'gzip', 'something follows its end');
}

async function* runTool(
  tool: Tool,
  bytes: AsyncIterable<Buffer>,
  feed: Feed,
  name: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<Buffer> {
  const child = spawn(tool.program, tool.arguments, {
    stdio: 'pipe',
    // No options from the environment (XZ_OPT, ZSTD_NBTHREADS), and complaints in English.
    env: { PATH: process.env['PATH'], LC_ALL: 'C' },
    killSignal: 'SIGKILL',
    ...(signal && { signal }),
  });
  const ended = endOf(child, tool, name, signal);
  // Of no interest to a reader who has left; all others wait for it below.
  ended.catch(() => undefined);
  // What fails here shows in `feed` and in how the program ends.
  pipeline(bytes, child.stdin).catch(() => undefined);
  try {
    for await (const chunk of child.stdout) yield chunk as Buffer;
    const complaint = await ended;
    if (feed.failure !== undefined) throw feed.failure;
    if (complaint !== undefined || !feed.isAll)
      throw damaged(name, tool.program, complaint ?? 'it stopped early');
  } catch (reason) {
    // That the program could not be started, or was stopped, is the cause of whatever else went wrong.
    await kill(child);
    await ended;
    throw reason;
  } finally {
    await kill(child);
  }
}

/** Ends a program, if it still runs, and waits until it is gone. */
async function kill(child: ChildProcessWithoutNullStreams): Promise<void> {
  const isGone = child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
  if (isGone) return;
  const gone = new Promise(resolve => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
}

/** Waits for the end of a program: undefined if it was content, else what it complained of. */
async function endOf(
  child: ChildProcessWithoutNullStreams,
  tool: Tool,
  name: string,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(0, COMPLAINT_BYTES);
  });
  try {
    const [status, killer] = (await once(child, 'close')) as [number | null, string | null];
    if (status === 0) return undefined;
    return complaint.trim() || `it was ended by ${killer ?? `its status ${String(status)}`}`;
  } catch (reason) {
    if (signal?.aborted === true) throw cancelled();
    if ((reason as NodeJS.ErrnoException).code !== 'ENOENT') {
      throw new ImageUnpackerError('TOOL_FAILED', `Cannot run ${tool.program}`, { path: name }, reason);
    }
    throw new ImageUnpackerError(
      'TOOL_MISSING',
      `Cannot decompress ${name}: there is no program ${tool.program}; install the package ${tool.package}`,
      { path: name },
    );
  }
}

function damaged(name: string, program: string, why: string): ImageUnpackerError {
  const message = `Cannot decompress ${name} with ${program}: ${why}; it is damaged, get or make it anew`;
  return new ImageUnpackerError('SOURCE_DAMAGED', message, { path: name });
}

function unknownCompression(name: string, format: Format): ImageUnpackerError {
  return new ImageUnpackerError(
    'SOURCE_UNSUPPORTED',
    `Cannot decompress ${name}: it is compressed with ${format.name}; use gzip, xz, zstd or none`,
    { path: name },
  );
}
