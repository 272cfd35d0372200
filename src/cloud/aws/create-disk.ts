import type { Snapshot } from '@aws-sdk/client-ec2';
import { changedBlocks, diskDigest } from '../../image/disk-map.js';
import type { DiskMap } from '../../image/disk-map.js';
import { DISK_BLOCK_SIZE } from '../../image/disk-map.js';
import { ImageUnpackerError } from '../../image/error.js';
import type { CloudCallOptions, CreatedDisk, DiskRequest } from '../cloud.js';
import { TAG } from '../cloud.js';
import type { ParentCandidate } from './choose-parent.js';
import { orderParents, READY_SECONDS } from './choose-parent.js';
import { completeSnapshot, waitForSnapshot } from './complete-snapshot.js';
import type { EncryptionKey } from './encryption.js';
import { isEncryptedWith } from './encryption.js';
import { isAnswer } from './fault.js';
import { sendBlocks } from './send-blocks.js';
import type { AwsSession } from './session.js';
import { parentFault, startSnapshot } from './start-snapshot.js';
import type { DiskFacts } from './tags.js';
import { DISK_FACTS, encodeFacts, MANAGED_BY, PUBLISH_TOKEN } from './tags.js';

const GIB = 2n ** 30n;
const RETRY_MILLISECONDS = 3000;

/** A disk that is being made in an account and region. */
export interface DiskWork {
  readonly session: AwsSession;
  readonly key: EncryptionKey;
  readonly target: string;
  readonly request: DiskRequest;
  /** The hash of the request's token. */
  readonly token: string;
  /** What it could be made from. */
  readonly candidates: readonly ParentCandidate[];
  readonly options: CloudCallOptions;
}

/** A snapshot to which blocks can be sent. */
export interface BegunDisk {
  readonly snapshot: Snapshot;
  readonly parent: ParentCandidate | undefined;
}

/** Begins the snapshot of a disk, from the parent with which it is there soonest, or from none. */
export async function beginDisk(work: DiskWork): Promise<BegunDisk> {
  const { session, request, candidates, options } = work;
  const { clock } = session;
  for (const { candidate, waitSeconds } of orderParents(request.content.map, candidates, clock.now())) {
    // Whether it is ready only trying tells, which costs little; it is given up a while after it should be.
    const deadline = clock.now() + (waitSeconds + READY_SECONDS / 2) * 1000;
    for (;;) {
      try {
        return { snapshot: await begin(work, candidate), parent: candidate };
      } catch (reason) {
        const fault = parentFault(reason);
        if (fault === undefined) throw reason;
        if (fault === 'gone' || clock.now() >= deadline) break;
        await clock.sleep(RETRY_MILLISECONDS, options.signal);
      }
    }
  }
  return { snapshot: await begin(work, undefined), parent: undefined };
}

function begin(work: DiskWork, parent: ParentCandidate | undefined): Promise<Snapshot> {
  const { session, key, target, request, token, options } = work;
  const { map } = request.content;
  const tags = {
    ...request.tags,
    [MANAGED_BY.key]: MANAGED_BY.value,
    [PUBLISH_TOKEN]: token,
    [DISK_FACTS]: encodeFacts(factsOf(work, map, parent)),
  };
  return startSnapshot(session, {
    token: `${token} ${diskDigest(map).toString('hex')}`,
    size: Number((map.size + GIB - 1n) / GIB),
    parentId: parent?.snapshotId,
    key,
    tags,
    description: request.tags[TAG.name] ?? '',
    target,
    signal: options.signal,
  });
}

function factsOf({ request }: DiskWork, map: DiskMap, parent: ParentCandidate | undefined): DiskFacts {
  return {
    size: map.size,
    at: undefined,
    digest: diskDigest(map).toString('hex'),
    boot: request.boot,
    parent: parent && { snapshotId: parent.snapshotId, digest: parent.digest },
  };
}

/**
 * Sends what a begun disk has not, and completes it. Throws `CLOUD_FAILED` when EBS refuses it or it is not encrypted
 * as it shall be.
 */
export async function fillDisk(work: DiskWork, { snapshot, parent }: BegunDisk): Promise<CreatedDisk> {
  const { session, key, target, request, options } = work;
  const { content, sent } = request;
  const id = snapshot.SnapshotId!;
  const numbers = changedBlocks(content.map, parent?.map ?? noBlocks(content.map));
  const missing = sent === undefined ? numbers : numbers.filter(number => !sent.has(id, number));
  let done = numbers.length - missing.length;
  const told = (): void => options.onProgress?.(done * DISK_BLOCK_SIZE, numbers.length * DISK_BLOCK_SIZE);
  told();
  const onSent = (number: number): void => {
    done++;
    sent?.add(id, number);
    told();
  };
  const sending = {
    snapshotId: id,
    numbers: missing,
    blocks: content.blocks(missing),
    map: content.map,
    signal: options.signal,
    onSent,
  };
  const waiting = { target, signal: options.signal };
  const complete = await sendBlocks(session, sending).then(
    async () => {
      await sent?.flush();
      return completeSnapshot(session, id, { map: content.map, numbers }, waiting);
    },
    async (reason: unknown) => {
      await sent?.flush();
      // It was completed before an interruption, which is done only when all of it has arrived.
      if (isAnswer(reason, /^INVALID_SNAPSHOT_ID$/) && /already completed/i.test(reason.message)) {
        return waitForSnapshot(session, id, waiting);
      }
      throw reason;
    },
  );
  if (!isEncryptedWith(complete, key)) {
    const has = complete.Encrypted === true ? `with ${complete.KmsKeyId ?? 'an unknown key'}` : 'not';
    const message = `The snapshot ${id} in ${target} is ${has} encrypted, not with ${key.arn ?? 'the default key'}`;
    throw new ImageUnpackerError('CLOUD_FAILED', message, { target });
  }
  return { id, blocksSent: missing.length, parentId: parent?.snapshotId };
}

function noBlocks({ size, present }: DiskMap): DiskMap {
  return { size, present: Buffer.alloc(present.length), digests: Buffer.alloc(0) };
}
