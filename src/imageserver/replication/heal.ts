import type { Store } from '../../store/store.js';
import type { Heal } from '../damage.js';
import type { ReplicationLog } from './start.js';

/** Brings objects that are damaged in a replica from its source. Both are opened for each: it is seldom needed. */
export function healFrom(
  openSource: () => Promise<Store>,
  openReplica: () => Promise<Store>,
  log: Pick<ReplicationLog, 'warn' | 'error'>,
): Heal {
  return async digest => {
    const hex = digest.toString('hex');
    try {
      const isGood = await bring(digest, openSource, openReplica);
      if (isGood) log.warn({ digest: hex }, 'a damaged object was brought anew from the source');
      return isGood;
    } catch (reason) {
      log.error({ digest: hex, err: reason }, 'a damaged object could not be brought anew');
      return false;
    }
  };
}

async function bring(
  digest: Buffer,
  openSource: () => Promise<Store>,
  openReplica: () => Promise<Store>,
): Promise<boolean> {
  const source = await openSource();
  try {
    // What was noted as damaged is removed when a store that is opened anew begins to store.
    const replica = await openReplica();
    try {
      return (await replica.putStream(source.stream(digest))).digest.equals(digest);
    } finally {
      await replica.close();
    }
  } finally {
    await source.close();
  }
}
