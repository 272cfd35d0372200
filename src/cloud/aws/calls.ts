import type {
  CompleteSnapshotCommandInput,
  CompleteSnapshotCommandOutput,
  GetSnapshotBlockCommandInput,
  GetSnapshotBlockCommandOutput,
  ListSnapshotBlocksCommandInput,
  ListSnapshotBlocksCommandOutput,
  PutSnapshotBlockCommandInput,
  PutSnapshotBlockCommandOutput,
  StartSnapshotCommandInput,
  StartSnapshotCommandOutput,
} from '@aws-sdk/client-ebs';
import type {
  CreateTagsCommandInput,
  CreateTagsCommandOutput,
  DeleteSnapshotCommandInput,
  DeleteSnapshotCommandOutput,
  DeleteTagsCommandInput,
  DeleteTagsCommandOutput,
  DeregisterImageCommandInput,
  DeregisterImageCommandOutput,
  DescribeImageAttributeCommandInput,
  DescribeImageAttributeCommandOutput,
  DescribeImagesCommandInput,
  DescribeImagesCommandOutput,
  DescribeLaunchTemplatesCommandInput,
  DescribeLaunchTemplatesCommandOutput,
  DescribeLaunchTemplateVersionsCommandInput,
  DescribeLaunchTemplateVersionsCommandOutput,
  DescribeRegionsCommandInput,
  DescribeRegionsCommandOutput,
  DescribeSnapshotsCommandInput,
  DescribeSnapshotsCommandOutput,
  EnableImageDeprecationCommandInput,
  EnableImageDeprecationCommandOutput,
  GetEbsDefaultKmsKeyIdCommandInput,
  GetEbsDefaultKmsKeyIdCommandOutput,
  ModifyImageAttributeCommandInput,
  ModifyImageAttributeCommandOutput,
  RegisterImageCommandInput,
  RegisterImageCommandOutput,
} from '@aws-sdk/client-ec2';
import type { DescribeKeyCommandInput, DescribeKeyCommandOutput } from '@aws-sdk/client-kms';
import type {
  DeleteParameterCommandInput,
  DeleteParameterCommandOutput,
  DescribeParametersCommandInput,
  DescribeParametersCommandOutput,
  GetParameterCommandInput,
  GetParameterCommandOutput,
  GetParametersCommandInput,
  GetParametersCommandOutput,
  PutParameterCommandInput,
  PutParameterCommandOutput,
} from '@aws-sdk/client-ssm';
import type { GetCallerIdentityCommandInput, GetCallerIdentityCommandOutput } from '@aws-sdk/client-sts';
import type { AutoScalingCallTypes } from './auto-scaling.js';
import type { FleetCallTypes } from './fleet/calls.js';
import { FLEET_CALLS } from './fleet/calls.js';

/** What each call takes and answers, as the SDK has it. */
export interface CallTypes extends AutoScalingCallTypes, FleetCallTypes {
  StartSnapshot: [StartSnapshotCommandInput, StartSnapshotCommandOutput];
  PutSnapshotBlock: [PutSnapshotBlockCommandInput, PutSnapshotBlockCommandOutput];
  CompleteSnapshot: [CompleteSnapshotCommandInput, CompleteSnapshotCommandOutput];
  ListSnapshotBlocks: [ListSnapshotBlocksCommandInput, ListSnapshotBlocksCommandOutput];
  GetSnapshotBlock: [GetSnapshotBlockCommandInput, GetSnapshotBlockCommandOutput];
  DescribeRegions: [DescribeRegionsCommandInput, DescribeRegionsCommandOutput];
  DescribeSnapshots: [DescribeSnapshotsCommandInput, DescribeSnapshotsCommandOutput];
  DeleteSnapshot: [DeleteSnapshotCommandInput, DeleteSnapshotCommandOutput];
  DescribeImages: [DescribeImagesCommandInput, DescribeImagesCommandOutput];
  RegisterImage: [RegisterImageCommandInput, RegisterImageCommandOutput];
  DeregisterImage: [DeregisterImageCommandInput, DeregisterImageCommandOutput];
  DescribeImageAttribute: [DescribeImageAttributeCommandInput, DescribeImageAttributeCommandOutput];
  ModifyImageAttribute: [ModifyImageAttributeCommandInput, ModifyImageAttributeCommandOutput];
  EnableImageDeprecation: [EnableImageDeprecationCommandInput, EnableImageDeprecationCommandOutput];
  CreateTags: [CreateTagsCommandInput, CreateTagsCommandOutput];
  DeleteTags: [DeleteTagsCommandInput, DeleteTagsCommandOutput];
  GetEbsDefaultKmsKeyId: [GetEbsDefaultKmsKeyIdCommandInput, GetEbsDefaultKmsKeyIdCommandOutput];
  DescribeKey: [DescribeKeyCommandInput, DescribeKeyCommandOutput];
  GetParameter: [GetParameterCommandInput, GetParameterCommandOutput];
  PutParameter: [PutParameterCommandInput, PutParameterCommandOutput];
  DeleteParameter: [DeleteParameterCommandInput, DeleteParameterCommandOutput];
  DescribeParameters: [DescribeParametersCommandInput, DescribeParametersCommandOutput];
  GetParameters: [GetParametersCommandInput, GetParametersCommandOutput];
  DescribeLaunchTemplates: [DescribeLaunchTemplatesCommandInput, DescribeLaunchTemplatesCommandOutput];
  DescribeLaunchTemplateVersions: [
    DescribeLaunchTemplateVersionsCommandInput,
    DescribeLaunchTemplateVersionsCommandOutput,
  ];
  GetCallerIdentity: [GetCallerIdentityCommandInput, GetCallerIdentityCommandOutput];
}

export type CallName = keyof CallTypes;
export type ServiceName = 'ec2' | 'ebs' | 'ssm' | 'kms' | 'sts' | 'autoscaling';

/** What a call needs it for, which decides who must be allowed it. */
export type Purpose =
  | 'look'
  | 'publish'
  /** Of a publication: block by block, or by unpackers. */
  | 'upload'
  | 'unpackers'
  | 'share'
  | 'parameters'
  | 'manage'
  | 'read-back'
  | 'find-uses';

/** On what a call acts, which is how narrowly it can be allowed. */
export type Scope =
  /** Nothing that a policy could name. */
  | 'all'
  /** A snapshot or image that is being made, with our tag in the request. */
  | 'new'
  /** A snapshot or image that has our tag. */
  | 'own'
  /** An instance that is an unpacker, by its name, and a volume that has our tag. */
  | 'unpacker'
  | 'parameter'
  | 'key';

/** A call of AWS: the only ones that are made. */
export interface AwsCall {
  readonly service: ServiceName;
  /** So many at once, then so many a second, for an account and region (EC2 API throttling; Service Quotas of EBS). */
  readonly burst: number;
  readonly perSecond: number;
  readonly purposes: readonly Purpose[];
  readonly scope: Scope;
  /** Kinds of resources that it acts on, as ARNs have them. */
  readonly resources: readonly ('snapshot' | 'image' | 'volume' | 'instance')[];
}

function call(
  service: ServiceName,
  [burst, perSecond]: readonly [number, number],
  purposes: readonly Purpose[],
  scope: Scope = 'all',
  resources: AwsCall['resources'] = [],
): AwsCall {
  return { service, burst, perSecond, purposes, scope, resources };
}

const DESCRIBE = [100, 20] as const;
const CHANGE = [100, 5] as const;
const OTHER_CHANGE = [50, 5] as const;
const TAGS = [100, 10] as const;
const PUT = [1000, 1000] as const;
const LIST = [50, 50] as const;
const SNAPSHOT = [10, 10] as const;
/** KMS and STS allow far more than is ever asked of them. */
const FEW = [50, 20] as const;
const PARAMETER = [40, 3] as const;
const PARAMETERS = [40, 20] as const;
/** What Auto Scaling allows is not published. */
const GROUPS = [20, 5] as const;

export const CALLS: Readonly<Record<CallName, AwsCall>> = {
  GetCallerIdentity: call('sts', FEW, ['look']),
  DescribeImages: call('ec2', DESCRIBE, ['look']),
  DescribeRegions: call('ec2', DESCRIBE, ['look']),
  DescribeSnapshots: call('ec2', DESCRIBE, ['look']),
  GetEbsDefaultKmsKeyId: call('ec2', DESCRIBE, ['look']),
  DescribeKey: call('kms', FEW, ['look'], 'key'),
  StartSnapshot: call('ebs', SNAPSHOT, ['upload'], 'new', ['snapshot']),
  PutSnapshotBlock: call('ebs', PUT, ['upload'], 'own', ['snapshot']),
  CompleteSnapshot: call('ebs', SNAPSHOT, ['upload'], 'own', ['snapshot']),
  RegisterImage: call('ec2', OTHER_CHANGE, ['publish'], 'new', ['image']),
  CreateTags: call('ec2', TAGS, ['publish', 'manage'], 'own', ['image', 'snapshot']),
  DeleteTags: call('ec2', TAGS, ['publish', 'manage'], 'own', ['image', 'snapshot']),
  DeregisterImage: call('ec2', CHANGE, ['publish', 'manage'], 'own', ['image']),
  DeleteSnapshot: call('ec2', CHANGE, ['publish', 'manage'], 'own', ['snapshot']),
  EnableImageDeprecation: call('ec2', OTHER_CHANGE, ['publish'], 'own', ['image']),
  DescribeImageAttribute: call('ec2', DESCRIBE, ['look'], 'own', ['image']),
  ModifyImageAttribute: call('ec2', CHANGE, ['share'], 'own', ['image']),
  GetParameter: call('ssm', PARAMETER, ['parameters'], 'parameter'),
  PutParameter: call('ssm', PARAMETER, ['parameters'], 'parameter'),
  DeleteParameter: call('ssm', PARAMETER, ['parameters'], 'parameter'),
  ListSnapshotBlocks: call('ebs', LIST, ['read-back'], 'own', ['snapshot']),
  GetSnapshotBlock: call('ebs', PUT, ['read-back'], 'own', ['snapshot']),
  ...FLEET_CALLS,
  DescribeLaunchTemplates: call('ec2', DESCRIBE, ['find-uses']),
  DescribeLaunchTemplateVersions: call('ec2', DESCRIBE, ['find-uses']),
  DescribeAutoScalingGroups: call('autoscaling', GROUPS, ['find-uses']),
  DescribeLaunchConfigurations: call('autoscaling', GROUPS, ['find-uses']),
  DescribeParameters: call('ssm', PARAMETERS, ['find-uses']),
  GetParameters: call('ssm', PARAMETERS, ['find-uses']),
};

/** The calls that are made for any of these purposes. */
export function callsFor(purposes: readonly Purpose[]): CallName[] {
  return (Object.keys(CALLS) as CallName[]).filter(name =>
    CALLS[name].purposes.some(purpose => purposes.includes(purpose)),
  );
}
