import type { ObjectFault, Store } from '../store/store.js';
import type { Lease } from './held-store.js';
import type { Statistics } from './statistics.js';

/** Brings an object that is missing or damaged here from where it is good; resolves to whether it did. */
export type Heal = (digest: Buffer, store: Store) => Promise<boolean>;

/** What a report of damage found, in the order of `ReportDamageResponse`. */
export type DamageState = 'good' | ObjectFault['state'] | 'healed';

/** What is told of damage. */
export interface DamageLog {
  error(facts: object, message: string): void;
  warn(facts: object, message: string): void;
}

/**
 * Deals with damage: looks at the object itself, whoever reported it, takes a note of it, and has it brought anew from
 * elsewhere if there is such a place.
 */
export class DamageControl {
  readonly #statistics: Statistics;
  readonly #log: DamageLog;
  readonly #openStore: () => Promise<Store>;
  readonly #underWay = new Map<string, Promise<DamageState>>();
  heal: Heal | undefined;

  constructor(openStore: () => Promise<Store>, statistics: Statistics, log: DamageLog) {
    this.#openStore = openStore;
    this.#statistics = statistics;
    this.#log = log;
  }

  /** What each object is found to be, and has become. */
  async look(lease: Lease, digests: readonly Buffer[], signal: AbortSignal): Promise<DamageState[]> {
    const { faults } = await lease.store.check(digests, { signal });
    const states = new Map<string, DamageState>();
    for (const fault of faults) states.set(fault.digest.toString('latin1'), await this.#deal(fault));
    return digests.map(digest => states.get(digest.toString('latin1')) ?? 'good');
  }

  /** Who finds the same object damaged meanwhile waits for the same remedy. */
  #deal(fault: ObjectFault): Promise<DamageState> {
    const key = fault.digest.toString('latin1');
    const known = this.#underWay.get(key);
    if (known !== undefined) return known;
    const work = this.#remedy(fault).finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, work);
    return work;
  }

  async #remedy({ digest, state }: ObjectFault): Promise<DamageState> {
    const hex = digest.toString('hex');
    if (state === 'damaged') {
      this.#statistics.damaged++;
      this.#log.error({ digest: hex }, 'an object of the store is damaged');
    }
    try {
      // A store that is opened anew removes what is noted before it stores.
      const store = await this.#openStore();
      try {
        if (state === 'damaged') await store.noteDamage([digest]);
        if (this.heal === undefined || !(await this.heal(digest, store))) return state;
      } finally {
        await store.close();
      }
      this.#statistics.healed++;
      this.#log.warn({ digest: hex }, 'an object was brought anew');
      return 'healed';
    } catch (reason) {
      this.#log.error({ digest: hex, err: reason }, 'an object could not be brought anew');
      return state;
    }
  }
}
