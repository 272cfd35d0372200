import { createReadStream } from 'node:fs';
import { posix } from 'node:path';
import { displayPath } from '../../image/path.js';
import { decompress } from '../decompress.js';
import { ByteReader } from '../tar/byte-reader.js';
import { readEntry } from '../tar/entry.js';
import { openInput } from '../tar/input.js';
import type { GlobalRecords } from '../tar/member.js';
import { readMember } from '../tar/member.js';
import type { ImageFile, ImageFiles } from './files.js';
import { imageDamaged, imageUnsupported } from './files.js';

/*
 * The files of what `docker save` writes. Layers stand in it in any order, so the archive is read once to see where
 * its members lie, and each member is then read where it is. One that is compressed is decompressed up to there
 * each time, as nothing is unpacked to disk.
 */

const READ_BYTES = 256 << 10;
/** Docker writes four members a layer. */
const MAX_MEMBERS = 65_536;
const MAX_LINKS = 8;

/** A member of the archive: where its data lies, or what it is another name of. */
type Member = { kind: 'file'; at: number; size: number } | { kind: 'link'; target: string };

/** Reads which files an archive has. Throws `SOURCE_*` as for tar files. */
export async function dockerArchive(
  location: string,
  maxBytes: number,
  signal: AbortSignal | undefined,
): Promise<ImageFiles> {
  const read = (start: number): AsyncIterable<Buffer> =>
    createReadStream(location, { highWaterMark: READ_BYTES, start });
  const plain = (stop: AbortSignal): AsyncIterable<Buffer> =>
    decompress(
      openInput(() => read(0), location, stop),
      location,
      stop,
    );
  const { members, isCompressed } = await listMembers(location, plain, maxBytes, signal);
  const open = (at: number, size: number): AsyncIterable<Buffer> =>
    isCompressed ? within(plain, location, at, size, signal) : firstOf(read(at), size);
  const find = (path: string): Promise<ImageFile | undefined> => {
    const member = resolve(location, members, path);
    if (member === undefined) return Promise.resolve(undefined);
    const { at, size } = member;
    return Promise.resolve({ size, chunks: () => open(at, size) });
  };
  return { location, find };
}

async function listMembers(
  location: string,
  plain: (stop: AbortSignal) => AsyncIterable<Buffer>,
  maxBytes: number,
  signal: AbortSignal | undefined,
): Promise<{ members: Map<string, Member>; isCompressed: boolean }> {
  const stop = new AbortController();
  const stopped = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
  const reader = new ByteReader(plain(stopped), { archive: location, maxBytes, signal: stopped });
  const globals: GlobalRecords = new Map();
  const members = new Map<string, Member>();
  try {
    for (let member; (member = await readMember(reader, globals)) !== undefined;) {
      const { entry, data } = await readEntry(reader, member);
      const path = entry.path.toString('latin1');
      const found = memberOf(location, entry, reader.position);
      if (found !== undefined && members.has(path))
        throw imageUnsupported(
          location,
          `it has ${displayPath(entry.path)} twice, and readers disagree on which counts`,
        );
      if (found !== undefined) members.set(path, found);
      if (members.size > MAX_MEMBERS)
        throw imageUnsupported(
          location,
          `it has more than ${String(MAX_MEMBERS)} members, which no image needs`,
        );
      await data?.finish();
    }
  } finally {
    stop.abort();
    await reader.close();
  }
  return { members, isCompressed: await isCompressedFile(location) };
}

/** Whether the file is other than a tar file as it is; the first block of a tar file is not that of a compressed one. */
async function isCompressedFile(location: string): Promise<boolean> {
  for await (const chunk of createReadStream(location, { end: 5 })) {
    const start = (chunk as Buffer).toString('latin1');
    return /^(?:\x1f\x8b|\xfd7zXZ|\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18)/.test(start);
  }
  return false;
}

function memberOf(
  location: string,
  entry: Awaited<ReturnType<typeof readEntry>>['entry'],
  at: number,
): Member | undefined {
  const path = entry.path.toString('latin1');
  switch (entry.type) {
    case 'directory':
      return undefined;
    case 'file':
      if (entry.holes.length > 0 && entry.content.kind === 'stream')
        throw imageUnsupported(
          location,
          `${displayPath(entry.path)} in it is sparse; pack it without --sparse`,
        );
      return { kind: 'file', at, size: Number(entry.size) };
    case 'link':
      return { kind: 'link', target: entry.target.toString('latin1') };
    case 'symlink':
      return { kind: 'link', target: posix.join(posix.dirname(path), entry.target.toString('latin1')) };
    default:
      throw imageUnsupported(location, `${displayPath(entry.path)} in it is no file, directory or link`);
  }
}

function resolve(
  location: string,
  members: Map<string, Member>,
  path: string,
): { at: number; size: number } | undefined {
  let member = members.get(path);
  for (let hops = 0; member?.kind === 'link'; hops++) {
    if (hops === MAX_LINKS) throw imageDamaged(location, `${path} in it is a link that leads nowhere`);
    member = members.get(posix.normalize(member.target));
  }
  return member;
}

async function* firstOf(input: AsyncIterable<Buffer>, size: number): AsyncGenerator<Buffer> {
  let left = size;
  if (left === 0) return;
  for await (const chunk of input) {
    yield chunk.length > left ? chunk.subarray(0, left) : chunk;
    left -= Math.min(left, chunk.length);
    if (left === 0) return;
  }
}

async function* within(
  plain: (stop: AbortSignal) => AsyncIterable<Buffer>,
  location: string,
  at: number,
  size: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Buffer> {
  const stop = new AbortController();
  const stopped = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
  const reader = new ByteReader(plain(stopped), {
    archive: location,
    maxBytes: at + size + READ_BYTES * 8,
    signal: stopped,
  });
  try {
    await reader.skip(BigInt(at));
    for (let left = size; left > 0;) {
      const chunk = await reader.next(left);
      if (chunk === undefined) throw reader.truncated();
      left -= chunk.length;
      yield chunk;
    }
  } finally {
    stop.abort();
    await reader.close();
  }
}
