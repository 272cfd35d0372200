import type { ObjectFault } from '../store/store.js';
import { sizesToStore } from '../store/object-parts.js';
import type { HeldStore, Lease } from './held-store.js';
import type { Statistics } from './statistics.js';

/** What an object is found to be. */
export type DamageState = 'good' | ObjectFault['state'];

/** Brings an object that is missing or damaged here from where it is good; resolves to whether it did. Throws nothing. */
export type Heal = (digest: Buffer) => Promise<boolean>;

/** Looks at objects that are said to be damaged, whoever says so, and takes note of those that are. */
export class DamageControl {
  readonly #held: HeldStore;
  readonly #statistics: Statistics;
  readonly #found: (digest: string) => void;
  /** Those of which a note was taken since the server was started. */
  readonly #noted = new Set<string>();

  readonly #underWay = new Map<string, Promise<boolean>>();
  /** Where there is another place that has the objects. */
  heal: Heal | undefined;

  /** `found` is told of each object that is damaged. */
  constructor(held: HeldStore, statistics: Statistics, found: (digest: string) => void) {
    this.#held = held;
    this.#statistics = statistics;
    this.#found = found;
  }

  /** What each object is. Those that are damaged are stored anew when they come again. */
  async look(lease: Lease, digests: readonly Buffer[], signal: AbortSignal): Promise<DamageState[]> {
    const { faults } = await lease.store.check(digests, { signal });
    const damaged = faults.filter(({ state }) => state === 'damaged').map(({ digest }) => digest);
    if (damaged.length > 0) {
      this.#statistics.damaged += damaged.length;
      for (const digest of damaged) {
        this.#noted.add(digest.toString('latin1'));
        this.#found(digest.toString('hex'));
      }
      await lease.store.noteDamage(damaged);
      this.#held.renew();
    }
    const states = new Map<string, DamageState>();
    for (const { digest, state } of faults) {
      states.set(digest.toString('latin1'), (await this.#bring(digest)) ? 'good' : state);
    }
    return digests.map(digest => {
      const state = states.get(digest.toString('latin1')) ?? 'good';
      if (state === 'good') this.#noted.delete(digest.toString('latin1'));
      return state;
    });
  }

  /** Has an object brought anew, once for all who ask meanwhile. Who asks is told what is wrong all the same. */
  async #bring(digest: Buffer): Promise<boolean> {
    if (this.heal === undefined) return false;
    const key = digest.toString('latin1');
    let work = this.#underWay.get(key);
    if (work === undefined) {
      work = this.heal(digest).finally(() => this.#underWay.delete(key));
      this.#underWay.set(key, work);
    }
    return work;
  }

  /**
   * The sizes of objects for who reads them from here, or stores them, be it elsewhere: what is known to be damaged is as good
   * as missing.
   */
  async sizes(
    { parts }: Lease,
    digests: readonly Buffer[],
    toRead: boolean,
  ): Promise<(number | undefined)[]> {
    const sizes = await (toRead ? parts.sizes(digests) : sizesToStore(parts, digests));
    if (this.#noted.size === 0) return sizes;
    return sizes.map((size, at) => (this.#noted.has(digests[at]!.toString('latin1')) ? undefined : size));
  }

  /** An object was stored anew. */
  mended(digest: Buffer): void {
    this.#noted.delete(digest.toString('latin1'));
  }
}
