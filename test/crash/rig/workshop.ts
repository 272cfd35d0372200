import { join } from 'node:path';
import type { LocalStore } from '../../../src/store/local/store.js';
import { openLocalStore } from '../../../src/store/local/store.js';
import { Machine } from './machine.js';
import type { Letter, Revision, Size } from './revisions.js';
import { storeRevisions } from './revisions.js';

/** A machine, and a store with the revisions that a seed makes. The store is on no disk that crashes. */
export class Workshop {
  readonly machine: Machine;
  readonly store: LocalStore;
  readonly revisions: Record<Letter, Revision>;

  private constructor(machine: Machine, store: LocalStore, revisions: Record<Letter, Revision>) {
    this.machine = machine;
    this.store = store;
    this.revisions = revisions;
  }

  /** Runs `work` in a workshop that is gone afterwards. */
  static async use<T>(seed: number, size: Size, work: (workshop: Workshop) => Promise<T>): Promise<T> {
    const machine = Machine.make();
    try {
      const store = await openLocalStore(join(machine.directory, 'store'), { create: true });
      try {
        return await work(new Workshop(machine, store, await storeRevisions(store, seed, size)));
      } finally {
        await store.close();
      }
    } finally {
      machine.close();
    }
  }
}
