import type { AwsAccounts } from '../cloud/aws/accounts.js';
import type { Clock } from '../cloud/aws/clock.js';
import type { CloudTarget } from '../cloud/cloud.js';
import { ImageUnpackerError } from '../image/error.js';
import type { Store } from '../store/store.js';
import { connectByAddress } from './fleet/connect-agent.js';
import { keptMaps } from './kept-maps.js';
import type { UnpackersOptions } from './options.js';
import type { Target } from './target.js';

/** Opens a target, to look at it or to change it. Throws what keeps it from being used. */
export type OpenTarget = (
  target: Target,
  how: { write: boolean; now: () => Date; signal?: AbortSignal | undefined },
) => Promise<CloudTarget>;

/**
 * What opens a target of any kind that is known. The accounts of AWS are entered once by what this returns, and what
 * their disks hold is kept in the store, if there is one.
 */
export function makeOpenTarget(store?: Store, clock?: Clock, unpackers: UnpackersOptions = {}): OpenTarget {
  let accounts: Promise<AwsAccounts> | undefined;
  const maps = keptMaps(store);
  return async (target, { write, now, signal }) => {
    if (target.kind === 'local') {
      const { LocalTarget } = await import('../cloud/local/local-target.js');
      return LocalTarget.open(target.directory, { format: target.format, write, now });
    }
    if (target.fault !== undefined)
      throw new ImageUnpackerError('NO_PERMISSION', target.fault, { target: target.name });
    accounts ??= import('../cloud/aws/accounts.js').then(({ AwsAccounts }) => new AwsAccounts(clock));
    const session = await (await accounts).session(target.access, target.region, signal);
    const { settings, name } = target;
    const options = { session, settings, maps, target: name };
    if (target.strategy === 'snapshot') {
      const { SnapshotTarget } = await import('../cloud/aws/fleet/snapshot-target.js');
      const {
        name: unpackerName,
        certs,
        serverName,
        connect = connectByAddress(certs, serverName),
      } = unpackers;
      return new SnapshotTarget({ ...options, unpackerName, scrub: target.scrub, connect });
    }
    const { DirectTarget } = await import('../cloud/aws/direct-target.js');
    return new DirectTarget(options);
  };
}

/** Does `work` with a target that is opened for it, and closes it after. */
export async function withTarget<T>(
  target: Target,
  { open, ...how }: { write: boolean; now: () => Date; signal?: AbortSignal | undefined; open: OpenTarget },
  work: (cloud: CloudTarget) => Promise<T>,
): Promise<T> {
  const cloud = await open(target, how);
  try {
    return await work(cloud);
  } finally {
    await cloud.close();
  }
}
