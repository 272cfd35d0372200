import type { FileData } from '../../store/derivable.js';
import { partsOf, sizesToStore } from '../../store/object-parts.js';
import { putMany } from '../../store/put-many.js';
import type { SmallObject, Store } from '../../store/store.js';

/** The calls that change something at the source of a replica, or ask what is there to be changed. */
export type UpstreamCalls = Pick<
  Store,
  | 'has'
  | 'checkIsNew'
  | 'create'
  | 'replace'
  | 'remove'
  | 'replaceChannel'
  | 'put'
  | 'putStream'
  | 'ingest'
  | 'keepDiskMap'
>;

/** The source of a replica, to which changes are passed on: opened when there is one, and anew after that has failed. */
export class Upstream {
  readonly location: string;
  readonly #open: () => Promise<Store>;
  #opened: Promise<Store> | undefined;

  constructor(location: string, open: () => Promise<Store>) {
    this.location = location;
    this.#open = open;
  }

  async call<Name extends keyof UpstreamCalls>(
    name: Name,
    ...parameters: Parameters<UpstreamCalls[Name]>
  ): Promise<Awaited<ReturnType<UpstreamCalls[Name]>>> {
    const store = await this.#store();
    const method = store[name] as (...all: Parameters<UpstreamCalls[Name]>) => unknown;
    return (await method.apply(store, parameters)) as Awaited<ReturnType<UpstreamCalls[Name]>>;
  }

  /** The sizes of those of the objects that the source need not be sent. */
  async sizesToStore(digests: readonly Buffer[]): Promise<(number | undefined)[]> {
    return sizesToStore(partsOf(await this.#store()), digests);
  }

  /** Stores objects at the source, together if it can. */
  async putMany(objects: readonly SmallObject[]): Promise<boolean[]> {
    return putMany(await this.#store(), objects);
  }

  /** Makes an object at the source of another one, if it can; whether it has. */
  async derive(wanted: FileData, found: FileData): Promise<boolean> {
    return (await (await this.#store()).derive?.(wanted, found)) === true;
  }

  async close(): Promise<void> {
    const opened = this.#opened;
    this.#opened = undefined;
    const store = await opened?.catch(() => undefined);
    await store?.close();
  }

  async #store(): Promise<Store> {
    this.#opened ??= this.#open().catch((reason: unknown) => {
      this.#opened = undefined;
      throw reason;
    });
    return this.#opened;
  }
}
