import { createHash } from 'node:crypto';
import type { Snapshot } from '@aws-sdk/client-ec2';
import { ImageUnpackerError } from '../../image/error.js';
import type { Tags } from '../cloud.js';
import type { EncryptionKey } from './encryption.js';
import { isAnswer, isMissing } from './fault.js';
import { findSnapshot } from './find.js';
import type { AwsSession } from './session.js';
import { toTagList } from './tags.js';

/** Minutes without a block after which EBS gives a snapshot up. */
const TIMEOUT_MINUTES = 60;
/** Ends of tokens that were used up: each needs a snapshot that was begun and lost. */
const MOST_ATTEMPTS = 20;
const LONGEST_DESCRIPTION = 255;

/** A snapshot that is to be begun. */
export interface SnapshotStart {
  /** What is begun under one token is one snapshot. */
  readonly token: string;
  /** GiB. */
  readonly size: number;
  readonly parentId: string | undefined;
  readonly key: EncryptionKey;
  readonly tags: Tags;
  readonly description: string;
  readonly target: string;
  readonly signal?: AbortSignal | undefined;
}

/** A parent that cannot be one: it is gone, or not yet known everywhere. */
export type ParentFault = 'gone' | 'not ready';

/** What a refused start says of its parent, if that is what was wrong. */
export function parentFault(reason: unknown): ParentFault | undefined {
  if (isAnswer(reason, /^INVALID_SNAPSHOT_ID$/) && /not complete/i.test(reason.message)) return 'not ready';
  return isMissing(reason) ? 'gone' : undefined;
}

/**
 * Begins a snapshot, or finds the one that was begun under the token. A token whose snapshot has died answers with it
 * for ever, so the next one is taken then. Throws what `parentFault` knows when the parent is of no use.
 */
export async function startSnapshot(session: AwsSession, start: SnapshotStart): Promise<Snapshot> {
  const { target, signal } = start;
  for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
    const answer = await tryStart(session, start, attempt);
    if (answer === undefined) continue;
    const { SnapshotId, StartTime } = answer;
    if (SnapshotId === undefined) break;
    const snapshot = await findSnapshot(session, SnapshotId, { signal });
    if (snapshot !== undefined && snapshot.State !== 'error') return snapshot;
    // It may only not be known everywhere yet.
    if (snapshot === undefined && isFresh(SnapshotId, StartTime, session))
      return { SnapshotId, State: 'pending' };
  }
  const message = `EBS gives only snapshots for ${target} that are dead already; publish again, as another run`;
  throw new ImageUnpackerError('CLOUD_FAILED', message, { target });
}

/** Undefined when the token was used for another request. */
async function tryStart(session: AwsSession, start: SnapshotStart, attempt: number) {
  try {
    return await session.call('StartSnapshot', inputOf(start, attempt), { signal: start.signal });
  } catch (reason) {
    if (isAnswer(reason, /^ConflictException$/)) return undefined;
    throw reason;
  }
}

function inputOf(start: SnapshotStart, attempt: number) {
  const { token, size, parentId, key, tags, description } = start;
  const encryption =
    parentId === undefined
      ? { Encrypted: true, ...(key.isDefault || key.arn === undefined ? {} : { KmsKeyArn: key.arn }) }
      : // The key is the parent's then, and must not be given.
        { ParentSnapshotId: parentId };
  const parts = [token, size, parentId ?? '', key.isDefault ? '' : (key.arn ?? ''), attempt];
  return {
    VolumeSize: size,
    ...encryption,
    Tags: toTagList(tags),
    Description: description.slice(0, LONGEST_DESCRIPTION),
    ClientToken: createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 64),
    Timeout: TIMEOUT_MINUTES,
  };
}

function isFresh(id: string, started: Date | undefined, { clock, removed }: AwsSession): boolean {
  const FRESH_MILLISECONDS = 60_000;
  return !removed.has(id) && started !== undefined && clock.now() - started.getTime() < FRESH_MILLISECONDS;
}
