import type { FileEntry } from '../image/entry.js';
import type { FetchedObjects, Store } from '../store/store.js';
import type { FetchOptions } from './fetch-content.js';
import { fetchContent } from './fetch-content.js';

/**
 * Content that is fetched while it is still being planned what all is needed. Whatever goes wrong with that counts only once
 * it is known to be needed: then it is fetched again, with the rest, so that an error names all that is missing.
 */
export class FetchAhead {
  readonly #store: Store;
  readonly #files: readonly FileEntry[];
  readonly #options: FetchOptions;
  readonly #objects: Promise<FetchedObjects | undefined>;

  /** Begins to fetch the content of files. It is to be closed, unless what `finish` resolves to is. */
  constructor(store: Store, files: readonly FileEntry[], options: FetchOptions) {
    this.#store = store;
    this.#files = files;
    this.#options = options;
    this.#objects =
      files.length === 0
        ? Promise.resolve(undefined)
        : fetchContent(store, files, options).catch(() => undefined);
  }

  /** Fetches what of the content of `files` has not been. Rejects as `fetchContent` does. */
  async finish(files: readonly FileEntry[]): Promise<FetchedObjects> {
    const before = await this.#objects;
    if (before === undefined) return fetchContent(this.#store, files, this.#options);
    const fetched = new Set(this.#files);
    const rest = files.filter(file => !fetched.has(file));
    if (rest.length === 0) return before;
    return joined(before, await fetchContent(this.#store, rest, this.#options));
  }

  /** Gives back what was fetched for nothing. */
  async close(): Promise<void> {
    await (await this.#objects)?.close();
  }
}

/** What a store has fetched at two times, which lies in one directory. */
function joined(first: FetchedObjects, second: FetchedObjects): FetchedObjects {
  return {
    directory: second.directory,
    bytesFetched: first.bytesFetched + second.bytesFetched,
    sizes: [...first.sizes, ...second.sizes],
    sparse: new Map([...first.sparse, ...second.sparse]),
    close: async () => {
      await Promise.all([first.close(), second.close()]);
    },
  };
}
