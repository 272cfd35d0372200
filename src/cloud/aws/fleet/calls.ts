import type {
  AttachVolumeCommandInput,
  AttachVolumeCommandOutput,
  CreateSnapshotCommandInput,
  CreateSnapshotCommandOutput,
  CreateVolumeCommandInput,
  CreateVolumeCommandOutput,
  DeleteVolumeCommandInput,
  DeleteVolumeCommandOutput,
  DescribeInstancesCommandInput,
  DescribeInstancesCommandOutput,
  DescribeVolumesCommandInput,
  DescribeVolumesCommandOutput,
  DescribeVolumesModificationsCommandInput,
  DescribeVolumesModificationsCommandOutput,
  DetachVolumeCommandInput,
  DetachVolumeCommandOutput,
  ModifyVolumeCommandInput,
  ModifyVolumeCommandOutput,
  StartInstancesCommandInput,
  StartInstancesCommandOutput,
  StopInstancesCommandInput,
  StopInstancesCommandOutput,
} from '@aws-sdk/client-ec2';
import type { AwsCall } from '../calls.js';

/** What the calls on unpackers and their volumes take and answer. */
export interface FleetCallTypes {
  DescribeInstances: [DescribeInstancesCommandInput, DescribeInstancesCommandOutput];
  StartInstances: [StartInstancesCommandInput, StartInstancesCommandOutput];
  StopInstances: [StopInstancesCommandInput, StopInstancesCommandOutput];
  DescribeVolumes: [DescribeVolumesCommandInput, DescribeVolumesCommandOutput];
  DescribeVolumesModifications: [
    DescribeVolumesModificationsCommandInput,
    DescribeVolumesModificationsCommandOutput,
  ];
  CreateVolume: [CreateVolumeCommandInput, CreateVolumeCommandOutput];
  AttachVolume: [AttachVolumeCommandInput, AttachVolumeCommandOutput];
  DetachVolume: [DetachVolumeCommandInput, DetachVolumeCommandOutput];
  ModifyVolume: [ModifyVolumeCommandInput, ModifyVolumeCommandOutput];
  DeleteVolume: [DeleteVolumeCommandInput, DeleteVolumeCommandOutput];
  CreateSnapshot: [CreateSnapshotCommandInput, CreateSnapshotCommandOutput];
}

function call(
  [burst, perSecond]: readonly [number, number],
  scope: AwsCall['scope'],
  resources: AwsCall['resources'],
): AwsCall {
  return { service: 'ec2', burst, perSecond, purposes: ['unpackers'], scope, resources };
}

const DESCRIBE = [100, 20] as const;
const CHANGE = [100, 5] as const;
const OTHER_CHANGE = [50, 5] as const;
const START = [5, 2] as const;

/** The calls on unpackers and their volumes. */
export const FLEET_CALLS: Readonly<Record<keyof FleetCallTypes, AwsCall>> = {
  // Unpackers are found by it, and what uses images is.
  DescribeInstances: { ...call(DESCRIBE, 'all', []), purposes: ['unpackers', 'find-uses'] },
  DescribeVolumes: call(DESCRIBE, 'all', []),
  DescribeVolumesModifications: call(DESCRIBE, 'all', []),
  StartInstances: call(START, 'unpacker', ['instance']),
  StopInstances: call(START, 'unpacker', ['instance']),
  CreateVolume: call(CHANGE, 'new', ['volume']),
  AttachVolume: call(OTHER_CHANGE, 'unpacker', ['instance', 'volume']),
  DetachVolume: call(OTHER_CHANGE, 'unpacker', ['instance', 'volume']),
  ModifyVolume: call(OTHER_CHANGE, 'own', ['volume']),
  DeleteVolume: call(OTHER_CHANGE, 'own', ['volume']),
  CreateSnapshot: call(CHANGE, 'new', ['snapshot']),
};
