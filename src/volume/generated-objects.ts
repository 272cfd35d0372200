import type { FileHandle } from 'node:fs/promises';
import { mkdir, mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FileEntry } from '../image/entry.js';
import { ImageUnpackerError } from '../image/error.js';

/** Content that is in no store, by digests in hex. */
export type Contents = ReadonlyMap<string, Buffer>;

/** Objects of such content as files. */
export interface GeneratedObjects {
  /** An open directory that holds them as a store does, or -1 when there are none. */
  readonly directory: number;
  close(): Promise<void>;
}

/** Whether the content of a file is in no store. */
export function isGenerated({ digest }: FileEntry, contents: Contents): boolean {
  return digest !== null && contents.has(digest.toString('hex'));
}

/** Puts content that is in no store into files, for as long as they are needed. */
export async function openGenerated(
  files: readonly FileEntry[],
  contents: Contents,
): Promise<GeneratedObjects> {
  const digests = new Set(
    files.filter(file => isGenerated(file, contents)).map(({ digest }) => digest!.toString('hex')),
  );
  if (digests.size === 0) return { directory: -1, close: () => Promise.resolve() };
  let path: string | undefined;
  let directory: FileHandle | undefined;
  const close = async (): Promise<void> => {
    await directory?.close();
    if (path !== undefined) await rm(path, { recursive: true, force: true });
  };
  try {
    path = await mkdtemp(join(tmpdir(), 'image-unpacker-'));
    for (const digest of digests) {
      await mkdir(join(path, digest.slice(0, 2)), { recursive: true });
      await writeFile(join(path, digest.slice(0, 2), digest), contents.get(digest)!);
    }
    directory = await open(path, 'r');
    return { directory: directory.fd, close };
  } catch (reason) {
    await close();
    throw ImageUnpackerError.from(reason, `Cannot write to ${tmpdir()}`, { path: tmpdir() });
  }
}
