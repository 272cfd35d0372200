import { createHash } from 'node:crypto';
import { DISK_BLOCK_SIZE } from '../../image/disk-map.js';
import { ImageUnpackerError } from '../../image/error.js';
import type { CloudCallOptions, PreflightCheck } from '../cloud.js';
import type { CallName, CallTypes } from './calls.js';
import { AwsError, isMissing } from './fault.js';
import { deleteSnapshot } from './remove.js';
import type { Sample, TargetPreflight } from './preflight.js';
import { FLEET_PROBES } from './fleet/preflight-calls.js';
import type { Probe, Trial, Verdict } from './preflight-trial.js';
import { dryRun, NO_SAMPLE, OK, onSample } from './preflight-trial.js';
import type { AwsSession } from './session.js';
import { MANAGED_BY, toTagList } from './tags.js';

const NO_WAY: Verdict = { state: 'unknown', message: 'there is no way to try it without changing something' };
/** A snapshot that never was. */
const NOWHERE = 'snap-0fffffffffffffffe';

/**
 * Tries whether a call is allowed, and changes nothing. What is sent is chosen so that even where DryRun were not
 * heeded as little as can be would come of it: tags that are there already, a snapshot that is in use.
 */
export async function tryCall(
  session: AwsSession,
  name: CallName,
  trial: TargetPreflight & { sample: Sample | undefined },
  options: CloudCallOptions,
): Promise<PreflightCheck> {
  const probe = PROBES[name];
  const verdict = probe === undefined ? NO_WAY : await judged(() => probe({ ...trial, session, options }));
  return { check: name, kind: 'permission', ...verdict };
}

/** What a failed trial means. */
async function judged(probe: () => Promise<Verdict>): Promise<Verdict> {
  try {
    return await probe();
  } catch (reason) {
    if (!(reason instanceof ImageUnpackerError) || reason.code === 'CANCELLED') throw reason;
    const isDenied = reason instanceof AwsError && reason.fault.kind === 'denied';
    return { state: isDenied ? 'failed' : 'unknown', message: reason.message };
  }
}

function resourcesOf({ image, snapshot }: Sample): string[] {
  return [image.ImageId!, snapshot.SnapshotId!];
}

const PROBES: Readonly<Partial<Record<CallName, Probe>>> = {
  DescribeImages: trial => dryRun(trial, 'DescribeImages', { Owners: ['self'], MaxResults: 5 }),
  DescribeRegions: trial => dryRun(trial, 'DescribeRegions', {}),
  DescribeSnapshots: trial => dryRun(trial, 'DescribeSnapshots', { OwnerIds: ['self'], MaxResults: 5 }),
  GetEbsDefaultKmsKeyId: trial => dryRun(trial, 'GetEbsDefaultKmsKeyId', {}),
  DescribeImageAttribute: onSample('DescribeImageAttribute', ({ image }) => ({
    ImageId: image.ImageId!,
    Attribute: 'launchPermission',
  })),
  DescribeKey: async ({ session, settings, options }) => {
    const KeyId = settings.kmsKey === 'default' ? 'alias/aws/ebs' : settings.kmsKey;
    return allowedIfMissing(session.call('DescribeKey', { KeyId }, options));
  },
  StartSnapshot: startSnapshotProbe,
  PutSnapshotBlock: putBlockProbe,
  // A snapshot that is complete is answered so once more, whatever is said of it.
  CompleteSnapshot: async ({ session, sample, options }) => {
    if (sample === undefined) return NO_SAMPLE;
    const SnapshotId = sample.snapshot.SnapshotId!;
    await session.call('CompleteSnapshot', { SnapshotId, ChangedBlocksCount: 0 }, options);
    return OK;
  },
  CreateTags: onSample('CreateTags', sample => ({
    Resources: resourcesOf(sample),
    Tags: toTagList({ [MANAGED_BY.key]: MANAGED_BY.value }),
  })),
  DeleteTags: onSample('DeleteTags', sample => ({
    Resources: resourcesOf(sample),
    Tags: [{ Key: 'PreflightOfNothing' }],
  })),
  ModifyImageAttribute: onSample('ModifyImageAttribute', ({ image }) => ({
    ImageId: image.ImageId!,
    LaunchPermission: { Remove: [{ UserId: '000000000000' }] },
  })),
  EnableImageDeprecation: onSample('EnableImageDeprecation', ({ image }, { session }) => ({
    ImageId: image.ImageId!,
    DeprecateAt: new Date(session.clock.now() + 365 * 86_400_000),
  })),
  RegisterImage: onSample('RegisterImage', ({ image, snapshot }) => ({
    // The name is taken: it would be refused.
    Name: image.Name!,
    RootDeviceName: image.RootDeviceName,
    VirtualizationType: 'hvm',
    BlockDeviceMappings: [{ DeviceName: image.RootDeviceName, Ebs: { SnapshotId: snapshot.SnapshotId } }],
    TagSpecifications: [{ ResourceType: 'image', Tags: toTagList({ [MANAGED_BY.key]: MANAGED_BY.value }) }],
  })),
  // It is in use: it would be refused.
  DeleteSnapshot: onSample('DeleteSnapshot', ({ snapshot }) => ({ SnapshotId: snapshot.SnapshotId! })),
  DeregisterImage: onSample('DeregisterImage', ({ image }) => ({ ImageId: image.ImageId! })),
  GetParameter: async ({ session, settings, stream, options }) =>
    allowedIfMissing(
      session.call('GetParameter', { Name: parameterOf(settings.parameters, stream) }, options),
    ),
  PutParameter: putParameterProbe,
  ...FLEET_PROBES,
};

/** EBS looks for the parent, which is not there, only for somebody who may start snapshots. */
async function startSnapshotProbe({ session, options }: Trial): Promise<Verdict> {
  const input = {
    VolumeSize: 1,
    ParentSnapshotId: NOWHERE,
    Tags: toTagList({ [MANAGED_BY.key]: MANAGED_BY.value }),
    ClientToken: createHash('sha256').update(String(session.clock.random())).digest('hex').slice(0, 64),
  };
  let made: string | undefined;
  try {
    made = (await session.call('StartSnapshot', input, options)).SnapshotId;
  } catch (reason) {
    if (!isMissing(reason)) throw reason;
    return { state: 'likely', message: 'EBS looked for the parent; tags are tried only when it is done' };
  }
  if (made !== undefined) await deleteSnapshot(session, made, options);
  return { state: 'unknown', message: 'the endpoint does not look for parents' };
}

/** A block beyond the end of a snapshot that is complete: EBS refuses it for either, if not for who sends it. */
async function putBlockProbe({ session, sample, options }: Trial): Promise<Verdict> {
  if (sample === undefined) return NO_SAMPLE;
  const { SnapshotId, VolumeSize } = sample.snapshot;
  const BlockData = Buffer.alloc(DISK_BLOCK_SIZE);
  const input = {
    SnapshotId: SnapshotId!,
    BlockIndex: (VolumeSize ?? 1) * (2 ** 30 / DISK_BLOCK_SIZE),
    BlockData,
    DataLength: DISK_BLOCK_SIZE,
    Checksum: createHash('sha256').update(BlockData).digest('base64'),
    ChecksumAlgorithm: 'SHA256' as const,
  };
  try {
    await session.call('PutSnapshotBlock', input, options);
  } catch (reason) {
    const refused =
      reason instanceof AwsError && /^INVALID_(SNAPSHOT_ID|BLOCK)$/.test(reason.fault.reason ?? '');
    if (refused) return OK;
    throw reason;
  }
  return { state: 'unknown', message: 'the endpoint takes blocks of snapshots that are complete' };
}

/** A parameter that is there is not overwritten by a call that does not say so. */
async function putParameterProbe({ session, settings, stream, options }: Trial): Promise<Verdict> {
  const Name = parameterOf(settings.parameters, stream);
  let known: CallTypes['GetParameter'][1];
  try {
    known = await session.call('GetParameter', { Name }, options);
  } catch (reason) {
    if (!isMissing(reason)) throw reason;
    return { state: 'unknown', message: `${Name} is not there yet, and only making it tells` };
  }
  try {
    const input = { Name, Value: known.Parameter?.Value, Type: 'String' as const, DataType: 'aws:ec2:image' };
    await session.call('PutParameter', input, options);
  } catch (reason) {
    if (reason instanceof AwsError && reason.fault.name === 'ParameterAlreadyExists') return OK;
    throw reason;
  }
  return { state: 'unknown', message: 'the endpoint overwrites parameters unasked' };
}

async function allowedIfMissing(call: Promise<unknown>): Promise<Verdict> {
  try {
    await call;
  } catch (reason) {
    if (!isMissing(reason)) throw reason;
  }
  return OK;
}

function parameterOf(path: string | undefined, stream: string): string {
  return `${path ?? ''}/${stream}/latest`;
}
