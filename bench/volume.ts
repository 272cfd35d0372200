import { open, readFile, rm } from 'node:fs/promises';
import { basename } from 'node:path';
import { ImageUnpackerError } from '../src/image/error.js';
import { mount, unmount } from '../src/native.js';
import { runCommand, textOf } from './run-command.js';

/** Makes a sparse file of so many bytes, all zeros, in the place of any that is there. */
export async function makeBlankFile(path: string, size: number): Promise<void> {
  await rm(path, { force: true });
  const file = await open(path, 'wx');
  try {
    await file.truncate(size);
  } finally {
    await file.close();
  }
}

/**
 * Does `work` with a loop device over a file. It passes the page cache of the file by where the kernel can, so
 * that the file is as a disk is: what is written has left the machine, and what is not cached must be read.
 */
export async function withDevice<T>(
  file: string,
  signal: AbortSignal | undefined,
  work: (device: string) => Promise<T>,
): Promise<T> {
  const device = await attach(file, signal);
  try {
    return await work(device);
  } finally {
    await runCommand(['losetup', '--detach', device]);
  }
}

async function attach(file: string, signal: AbortSignal | undefined): Promise<string> {
  const words = ['losetup', '--find', '--show'];
  try {
    return await textOf([...words, '--direct-io=on', file], { signal });
  } catch (reason) {
    if (!(reason instanceof ImageUnpackerError) || reason.code !== 'TOOL_FAILED') throw reason;
    return textOf([...words, file], { signal });
  }
}

/** Whether a loop device passes the page cache of its file by. */
export async function usesDirectIo(device: string): Promise<boolean> {
  return (await readFile(`/sys/block/${basename(device)}/loop/dio`, 'utf8')).trim() === '1';
}

/** Does `work` with the tree of a volume, which is mounted, only to read, where nobody else sees it. */
export async function withTree<T>(device: string, work: (root: string) => Promise<T>): Promise<T> {
  const mounted = await mount('ext4', device, true, ['noload']);
  try {
    return await work(`/proc/${String(process.pid)}/fd/${String(mounted.root)}/`);
  } finally {
    await unmount(mounted);
  }
}

/** Makes `copy` the same as `file`, holes included, sharing its blocks where the file system can. */
export async function copyFile(file: string, copy: string, signal: AbortSignal | undefined): Promise<void> {
  await rm(copy, { force: true });
  await runCommand(['cp', '--sparse=always', '--reflink=auto', file, copy], { signal });
}
