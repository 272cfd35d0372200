import type { Image, Snapshot } from '@aws-sdk/client-ec2';
import type { CloudCallOptions, PreflightCheck, PreflightRequest } from '../cloud.js';
import type { CallName, Purpose } from './calls.js';
import { callsFor } from './calls.js';
import { findKey } from './encryption.js';
import type { FleetInstance } from './fleet/instances.js';
import type { FleetVolume } from './fleet/volumes.js';
import { isMissing } from './fault.js';
import { countOwn, findImages, findSnapshot, rootSnapshot } from './find.js';
import { tryCall } from './preflight-calls.js';
import type { AwsSession } from './session.js';
import type { AwsImageSettings } from './settings.js';
import { ImageUnpackerError } from '../../image/error.js';

/** A target that is looked at before anything is published there. */
export interface TargetPreflight extends PreflightRequest {
  readonly settings: AwsImageSettings;
  readonly target: string;
  /** What images are unpacked with there, where they are not sent block by block. */
  readonly unpacker?: UnpackerSample | undefined;
}

/** An unpacker that calls can be tried on, and the volume of the stream, as far as there are any. */
export interface UnpackerSample {
  readonly instance: FleetInstance | undefined;
  readonly volume: FleetVolume | undefined;
}

/** Something of ours that calls can be tried on. */
export interface Sample {
  readonly image: Image;
  readonly snapshot: Snapshot;
}

/**
 * Looks for each call that publishing makes whether it is allowed, and whether there is room for one more image. It
 * changes nothing: EC2 is asked by DryRun; EBS direct, which has none, is sent what it must refuse for other reasons,
 * or what was done already. What neither tells is said to be unknown.
 */
export async function preflight(
  session: AwsSession,
  request: TargetPreflight,
  options: CloudCallOptions,
): Promise<PreflightCheck[]> {
  const key = await keyCheck(session, request, options);
  const sample = await findSample(session, options);
  const checks: PreflightCheck[] = [];
  for (const name of callsFor(purposesOf(request))) {
    if (isMade(name, request.settings))
      checks.push(await tryCall(session, name, { ...request, sample }, options));
  }
  return [...checks, key, ...(await quotaChecks(session, request, options))];
}

/** Whether it is for publishing to tell whether a call may be made. */
function isMade(name: CallName, { deprecateAfter }: AwsImageSettings): boolean {
  if (name === 'EnableImageDeprecation') return deprecateAfter !== undefined;
  // The target could not have been opened without the first, and the others are for when images or unpackers are given up.
  return !['GetCallerIdentity', 'DeleteParameter', 'StopInstances'].includes(name);
}

function purposesOf({ settings, unpacker }: TargetPreflight): Purpose[] {
  const { sharedWith, parameters } = settings;
  return [
    'look',
    'publish',
    unpacker === undefined ? 'upload' : 'unpackers',
    ...(sharedWith === undefined ? [] : (['share'] as const)),
    ...(parameters === undefined ? [] : (['parameters'] as const)),
  ];
}

/** The newest image of ours with its snapshot, if there is one that is whole. */
async function findSample(session: AwsSession, options: CloudCallOptions): Promise<Sample | undefined> {
  const images = await findImages(session, {}, options);
  images.sort((a, b) => Date.parse(b.CreationDate ?? '') - Date.parse(a.CreationDate ?? ''));
  for (const image of images.slice(0, 3)) {
    const snapshotId = rootSnapshot(image);
    const snapshot = snapshotId === undefined ? undefined : await findSnapshot(session, snapshotId, options);
    if (snapshot?.State === 'completed') return { image, snapshot };
  }
  return undefined;
}

async function keyCheck(
  session: AwsSession,
  { settings, target }: TargetPreflight,
  options: CloudCallOptions,
): Promise<PreflightCheck> {
  const check = { check: 'the key', kind: 'permission' } as const;
  try {
    const { arn, isDefault } = await findKey(session, settings, target, options);
    if (isDefault)
      return { ...check, state: 'ok', message: `disks are encrypted with ${arn ?? 'alias/aws/ebs'}` };
    const message = `${arn ?? settings.kmsKey} is enabled; whether it may be used for disks only using it tells`;
    return { ...check, state: 'likely', message };
  } catch (reason) {
    if (!(reason instanceof ImageUnpackerError) || reason.code === 'CANCELLED') throw reason;
    return { ...check, state: 'failed', message: reason.message };
  }
}

async function quotaChecks(
  session: AwsSession,
  { quotas }: TargetPreflight,
  options: CloudCallOptions,
): Promise<PreflightCheck[]> {
  try {
    const { images, snapshots, pendingSnapshots } = await countOwn(session, options);
    return [
      quotaCheck('images', images, quotas.images),
      quotaCheck('snapshots', snapshots, quotas.snapshots),
      quotaCheck('snapshots that are not complete', pendingSnapshots, quotas.pendingSnapshots),
    ];
  } catch (reason) {
    if (!(reason instanceof ImageUnpackerError) || reason.code === 'CANCELLED' || isMissing(reason))
      throw reason;
    return [{ check: 'quotas', kind: 'quota', state: 'unknown', message: reason.message }];
  }
}

/** Whether one more fits. */
function quotaCheck(check: string, count: number, quota: number): PreflightCheck {
  const state = count < quota ? 'ok' : 'failed';
  return { check, kind: 'quota', state, message: `${String(count)} of ${String(quota)}` };
}
