import type { CloudTarget } from '../cloud/cloud.js';
import { ImageUnpackerError } from '../image/error.js';
import type { Target } from './target.js';

/** Opens a target, to look at it or to change it. Throws what keeps it from being used. */
export type OpenTarget = (target: Target, how: { write: boolean; now: () => Date }) => Promise<CloudTarget>;

/** Opens a target of any kind that is known. */
export const openTarget: OpenTarget = async (target, { write, now }) => {
  if (target.kind === 'local') {
    const { LocalTarget } = await import('../cloud/local/local-target.js');
    return LocalTarget.open(target.directory, { format: target.format, write, now });
  }
  const message = `Accounts of AWS (strategy ${target.strategy}) are not in this version; publish to local targets`;
  throw new ImageUnpackerError('UNSUPPORTED', message, { target: target.name });
};

/** Does `work` with a target that is opened for it, and closes it after. */
export async function withTarget<T>(
  target: Target,
  { write, now, open }: { write: boolean; now: () => Date; open: OpenTarget },
  work: (cloud: CloudTarget) => Promise<T>,
): Promise<T> {
  const cloud = await open(target, { write, now });
  try {
    return await work(cloud);
  } finally {
    await cloud.close();
  }
}
