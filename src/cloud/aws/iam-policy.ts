import type { AwsCall, CallName, Purpose } from './calls.js';
import { CALLS } from './calls.js';
import { UNPACKER_NAME } from './fleet/instances.js';
import { MANAGED_BY } from './tags.js';

/*
 * The least that a publisher has to be allowed, made from the table of the calls that it makes. What it did not make
 * itself it cannot change: all that changes something takes our tag, in the request or on the resource.
 */

/** What a publisher does in an account. */
export interface PolicyRequest {
  readonly purposes: readonly Purpose[];
  /** `aws`, `aws-us-gov` or `aws-cn`. */
  readonly partition: string;
  /** The path of the parameters that name images: `/images`. */
  readonly parameters: string | undefined;
  /** ARNs of the keys that disks are encrypted with; none where it is the accounts' default. */
  readonly keys: readonly string[];
  /** What unpackers are called (tag `Name`); default: `ImageUnpacker`. */
  readonly unpackerName?: string | undefined;
}

/** A statement of a policy (IAM JSON policy elements). */
export interface PolicyStatement {
  readonly Sid: string;
  readonly Effect: 'Allow';
  readonly Action: string[];
  readonly Resource: string[];
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, string | string[]>>>>;
}

export interface Policy {
  readonly Version: '2012-10-17';
  readonly Statement: PolicyStatement[];
}

/** What EBS does with a key of one's own in the name of whoever starts a snapshot. */
const KEY_ACTIONS = ['kms:Decrypt', 'kms:DescribeKey', 'kms:GenerateDataKeyWithoutPlaintext'];
const REQUEST_TAG = { StringEquals: { [`aws:RequestTag/${MANAGED_BY.key}`]: MANAGED_BY.value } };
const RESOURCE_TAG = { StringEquals: { [`aws:ResourceTag/${MANAGED_BY.key}`]: MANAGED_BY.value } };

const SIDS = {
  all: 'Look',
  own: 'ChangeWhatIsOurs',
  unpacker: 'WorkWithUnpackers',
  new: 'AsOurs',
  parameter: 'NameImages',
  key: 'FindKeys',
};

/** The policy for what is asked for. */
export function iamPolicy(request: PolicyRequest): Policy {
  const asked = (Object.entries(CALLS) as [CallName, AwsCall][]).filter(([, { purposes }]) =>
    purposes.some(purpose => request.purposes.includes(purpose)),
  );
  const statements = (['all', 'new', 'own', 'unpacker', 'parameter', 'key'] as const).flatMap(scope => {
    const calls = asked.filter(([, call]) => call.scope === scope);
    return calls.length === 0 ? [] : statementsOf(scope, calls, request);
  });
  return { Version: '2012-10-17', Statement: [...statements, ...keyStatements(request)] };
}

function statementsOf(
  scope: AwsCall['scope'],
  calls: readonly (readonly [CallName, AwsCall])[],
  { partition, parameters, unpackerName = UNPACKER_NAME }: PolicyRequest,
): PolicyStatement[] {
  const Action = calls.map(([name, { service }]) => `${service}:${name}`).sort();
  const base = { Sid: SIDS[scope], Effect: 'Allow' as const, Action };
  const kinds = [...new Set(calls.flatMap(([, { resources }]) => resources))].sort();
  const Resource = kinds.map(kind => arnOf(partition, kind));
  const makes = (name: CallName): boolean => calls.some(([each]) => each === name);
  switch (scope) {
    case 'all':
    case 'key':
      return [{ ...base, Resource: ['*'] }];
    case 'parameter':
      return [{ ...base, Resource: [`arn:${partition}:ssm:*:*:parameter${parameters ?? ''}/*`] }];
    case 'own':
      return [{ ...base, Resource, Condition: RESOURCE_TAG }];
    case 'new':
      return [
        ...calls.map(([name, { service, resources }]) => ({
          ...base,
          Sid: `${name}${base.Sid}`,
          Action: [`${service}:${name}`],
          Resource: resources.map(kind => arnOf(partition, kind)),
          Condition: REQUEST_TAG,
        })),
        ...tagStatements(calls, partition),
        ...(makes('RegisterImage')
          ? [onOurs('MakeImagesOfOurSnapshots', 'RegisterImage', arnOf(partition, 'snapshot'))]
          : []),
        ...(makes('CreateSnapshot')
          ? [onOurs('MakeSnapshotsOfOurVolumes', 'CreateSnapshot', arnOf(partition, 'volume'))]
          : []),
      ];
    case 'unpacker': {
      const ours = calls.filter(([, { resources }]) => resources.includes('volume')).map(([name]) => name);
      const named = { StringEquals: { 'aws:ResourceTag/Name': unpackerName } };
      return [
        {
          ...base,
          Action: [...Action, 'ec2:CreateTags', 'ec2:DeleteTags'].sort(),
          Resource: [arnOf(partition, 'instance')],
          Condition: named,
        },
        ...ours.map(name => onOurs(`${name}OfOurs`, name, arnOf(partition, 'volume'))),
      ];
    }
  }
}

/**
 * Tags are given when something is made, which is an action of its own. It is allowed for no more than that: whatever had
 * our tag could be deleted. What EBS says of the action when it begins a snapshot is not known, so that snapshots of others
 * can be given our tag where disks are sent to it.
 */
function tagStatements(
  calls: readonly (readonly [CallName, AwsCall])[],
  partition: string,
): PolicyStatement[] {
  const base = { Effect: 'Allow' as const, Action: ['ec2:CreateTags'] };
  const makers = calls.filter(([, { service }]) => service === 'ec2');
  const arns = (of: typeof calls): string[] =>
    [...new Set(of.flatMap(([, { resources }]) => resources))].sort().map(kind => arnOf(partition, kind));
  const sent = calls.filter(([, { service }]) => service === 'ebs');
  const made = { 'ec2:CreateAction': makers.map(([name]) => name).sort() };
  return [
    ...(makers.length === 0
      ? []
      : [
          {
            ...base,
            Sid: 'TagWhatIsMade',
            Resource: arns(makers),
            Condition: { StringEquals: { ...REQUEST_TAG.StringEquals, ...made } },
          },
        ]),
    ...(sent.length === 0
      ? []
      : [{ ...base, Sid: 'TagWhatIsSent', Resource: arns(sent), Condition: REQUEST_TAG }]),
  ];
}

function arnOf(partition: string, kind: AwsCall['resources'][number]): string {
  // Snapshots and images are named without their account.
  const account = kind === 'volume' || kind === 'instance' ? '*' : '';
  return `arn:${partition}:ec2:*:${account}:${kind}/*`;
}

/** One call on what has our tag. */
function onOurs(Sid: string, name: CallName, resource: string): PolicyStatement {
  return { Sid, Effect: 'Allow', Action: [`ec2:${name}`], Resource: [resource], Condition: RESOURCE_TAG };
}

function keyStatements({ keys, purposes }: PolicyRequest): PolicyStatement[] {
  if (keys.length === 0 || !purposes.includes('publish')) return [];
  return [
    { Sid: 'UseKeys', Effect: 'Allow', Action: KEY_ACTIONS, Resource: [...keys] },
    {
      Sid: 'LetAwsUseKeys',
      Effect: 'Allow',
      Action: ['kms:CreateGrant'],
      Resource: [...keys],
      Condition: { Bool: { 'kms:GrantIsForAWSResource': 'true' } },
    },
  ];
}
