import { createRequire } from 'node:module';

/*
 * The functions of the addon, with something of a test's in front of them. The addon is one object in a process,
 * however it was loaded.
 */

type Parameters = [first: number, ...rest: unknown[]];
type Native = (...parameters: Parameters) => Promise<unknown>;

const addon = createRequire(import.meta.url)('../../../build/Release/image_unpacker.node') as Record<
  string,
  Native
>;

/** Calls `instead` for a function of the addon, with the function itself and its parameters, while `work` runs. */
export async function intercepting<T>(
  name: 'mount' | 'unmount' | 'runBatch' | 'scanPaths' | 'syncFileSystem',
  instead: (original: Native, ...parameters: Parameters) => Promise<unknown>,
  work: () => Promise<T>,
): Promise<T> {
  const original = addon[name]!;
  addon[name] = (...parameters) => instead(original, ...parameters);
  try {
    return await work();
  } finally {
    addon[name] = original;
  }
}
