import { createHash } from 'node:crypto';
import test from 'ava';
import fc from 'fast-check';
import type { Purpose } from '../../../src/cloud/aws/calls.js';
import { CALLS } from '../../../src/cloud/aws/calls.js';
import type { ParentCandidate } from '../../../src/cloud/aws/choose-parent.js';
import { orderParents, READY_SECONDS } from '../../../src/cloud/aws/choose-parent.js';
import { linearChecksum } from '../../../src/cloud/aws/complete-snapshot.js';
import type { FaultKind } from '../../../src/cloud/aws/fault.js';
import { AwsError, faultOf } from '../../../src/cloud/aws/fault.js';
import { iamPolicy } from '../../../src/cloud/aws/iam-policy.js';
import { amiName } from '../../../src/cloud/aws/image-name.js';
import { decodeFacts, encodeFacts } from '../../../src/cloud/aws/tags.js';
import { TokenBucket } from '../../../src/cloud/aws/token-bucket.js';
import { blockDigests, DISK_BLOCK_SIZE, ZERO_BLOCK_DIGEST } from '../../../src/image/disk-map.js';
import { ModelDisk } from '../../model/disk.js';

test('a bucket never lets through more than it may, whenever it is asked', t => {
  const property = fc.property(
    fc.integer({ min: 1, max: 50 }),
    fc.integer({ min: 1, max: 20 }),
    fc.array(fc.integer({ min: 0, max: 2000 }), { minLength: 1, maxLength: 200 }),
    (burst, perSecond, gaps) => {
      const bucket = new TokenBucket({ burst, perSecond }, 0);
      let now = 0;
      const made = gaps.map(gap => {
        now += gap;
        return now + bucket.reserve(now);
      });
      made.sort((a, b) => a - b);
      for (let from = 0; from < made.length; from++) {
        for (let to = from; to < made.length; to++) {
          // A wait is rounded up to whole milliseconds, never down.
          const allowed = burst + ((made[to]! - made[from]!) / 1000) * perSecond;
          if (to - from + 1 > allowed + 1) return false;
        }
      }
      return true;
    },
  );
  t.notThrows(() => fc.assert(property));
});

test('a bucket that is drained lets nothing through at once', t => {
  const bucket = new TokenBucket({ burst: 100, perSecond: 20 }, 0);
  t.is(bucket.reserve(0), 0);
  bucket.drain(0);
  t.is(bucket.reserve(0), 50);
});

const faults: [what: string, error: object, kind: FaultKind][] = [
  [
    'EC2 is asked too often',
    { name: 'RequestLimitExceeded', $metadata: { httpStatusCode: 503 } },
    'throttled',
  ],
  [
    'EBS is asked too often',
    { name: 'RequestThrottledException', $metadata: { httpStatusCode: 400 } },
    'throttled',
  ],
  [
    'a snapshot of EC2 is gone',
    { name: 'InvalidSnapshot.NotFound', $metadata: { httpStatusCode: 400 } },
    'missing',
  ],
  ['a snapshot of RegisterImage is gone', { name: 'InvalidSnapshotID.NotFound' }, 'missing'],
  [
    'a snapshot of EBS is gone',
    { name: 'ResourceNotFoundException', $metadata: { httpStatusCode: 404 } },
    'missing',
  ],
  ['an image is deregistered', { name: 'InvalidAMIID.Unavailable' }, 'missing'],
  ['a parameter is not there', { name: 'ParameterNotFound', message: 'UnknownError' }, 'missing'],
  ['a policy is in the way', { name: 'UnauthorizedOperation', $metadata: { httpStatusCode: 403 } }, 'denied'],
  ['the service fails', { name: 'InternalError', $metadata: { httpStatusCode: 500 } }, 'transient'],
  ['the connection is cut', { name: 'Error', code: 'ECONNRESET' }, 'transient'],
  ['no answer comes', { name: 'TimeoutError' }, 'transient'],
  ['there are too many snapshots', { name: 'ConcurrentLimitExceededException' }, 'quota'],
  ['the request is wrong', { name: 'ValidationException', $metadata: { httpStatusCode: 400 } }, 'refused'],
];

for (const [what, error, kind] of faults) {
  test(`what it means that ${what}`, t => t.is(faultOf(error, 'DescribeImages').kind, kind));
}

const remedies: [name: string, remedy: RegExp][] = [
  ['UnauthorizedOperation', /compare what they may do with 'ami-publisher iam-policy'$/],
  // What AWS answers in a region that an account has not enabled is what it answers to credentials that are none.
  ['AuthFailure', /or the region is not enabled for the account/],
  ['UnrecognizedClientException', /or the region is not enabled for the account/],
  ['InvalidClientTokenId', /or the region is not enabled for the account/],
  ['OptInRequired', /or the region is not enabled for the account/],
  ['CredentialsProviderError', /set AWS_PROFILE .*, or log in$/],
];

for (const [name, remedy] of remedies) {
  test(`what to do about ${name} is told`, t => {
    const fault = faultOf({ name, message: 'No.' }, 'GetCallerIdentity');
    t.regex(new AwsError('GetCallerIdentity', 'a/us-east-1', fault, {}, undefined).message, remedy);
  });
}

test('a block that was damaged on its way is sent again, though it is answered as a wrong signature', t => {
  const error = { name: 'InvalidSignatureException', $metadata: { httpStatusCode: 403 } };
  t.is(faultOf(error, 'PutSnapshotBlock').kind, 'transient');
  t.is(faultOf(error, 'StartSnapshot').kind, 'denied');
});

const SIZE = 2000 * DISK_BLOCK_SIZE;

function candidate(snapshotId: string, changed: number, completedAt: number): ParentCandidate {
  const fills = Object.fromEntries(Array.from({ length: changed }, (_, at) => [at, 7]));
  const { map } = ModelDisk.of(fills, SIZE);
  return { snapshotId, digest: '', map, completedAt };
}

test('the parent is that with which the disk is there soonest', t => {
  const now = 1_000_000;
  const { map } = ModelDisk.of({}, SIZE);
  const ids = (...candidates: ParentCandidate[]): string[] =>
    orderParents(map, candidates, now).map(({ candidate: { snapshotId } }) => snapshotId);
  const old = now - READY_SECONDS * 1000;
  t.deepEqual(ids(candidate('new', 10, old), candidate('older', 300, old)), ['new', 'older']);
  t.deepEqual(ids(candidate('not ready', 10, now), candidate('older', 300, old)), ['older', 'not ready']);
  t.deepEqual(ids(candidate('nearly', 10, old + 500), candidate('older', 900, old)), ['nearly', 'older']);
});

test('the checksum of a snapshot is over the digests of the blocks that were sent, zeros included', t => {
  const { map } = ModelDisk.of({ 0: 1, 2: 3 }, 4 * DISK_BLOCK_SIZE);
  t.is(linearChecksum(map, []), '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=');
  t.not(linearChecksum(map, [0]), linearChecksum(map, [0, 1]));
  const digests = [...blockDigests(map)].map(digest => digest ?? ZERO_BLOCK_DIGEST);
  const all = createHash('sha256').update(Buffer.concat([digests[0]!, digests[1]!, digests[2]!]));
  t.is(linearChecksum(map, [0, 1, 2]), all.digest('base64'));
});

test('the name of an image is one that AWS takes', t => {
  t.is(amiName('base/debian-12/2026-11-23T06:00'), 'base/debian-12/2026-11-23T06.00');
  const property = fc.property(fc.string({ minLength: 1, unit: 'binary' }), name =>
    /^[A-Za-z0-9()[\] ./\-'@_]{3,128}$/.test(amiName(name)),
  );
  t.notThrows(() => fc.assert(property));
});

test('what a disk tells of itself is read as it was written, and fits into a tag', t => {
  const facts = {
    size: 2n ** 45n,
    at: '2026-11-23T06:00:00.000Z',
    digest: 'ab'.repeat(32),
    boot: { architecture: 'x86_64', bootMode: 'uefi-preferred', rootDevice: '/dev/xvda' },
    parent: { snapshotId: 'snap-0123456789abcdef0', digest: 'cd'.repeat(32) },
  };
  t.deepEqual(decodeFacts(encodeFacts(facts)), facts);
  t.true(encodeFacts(facts).length <= 255, String(encodeFacts(facts).length));
  for (const text of [undefined, '', 'size=1', 'size=x digest=y', `size=1 digest=${'ab'.repeat(31)}`]) {
    t.is(decodeFacts(text), undefined);
  }
});

test('the policy allows each call that is made, and nothing to be changed that is not ours', t => {
  const { Statement } = iamPolicy({
    purposes: [
      ...['look', 'publish', 'upload', 'unpackers', 'manage', 'share', 'parameters'],
      ...['read-back', 'find-uses'],
    ] as Purpose[],
    partition: 'aws-cn',
    parameters: '/images',
    keys: ['arn:aws-cn:kms:cn-north-1:111122223333:key/1'],
  });
  const allowed = new Set(Statement.flatMap(({ Action }) => Action));
  for (const [name, { service }] of Object.entries(CALLS)) t.true(allowed.has(`${service}:${name}`), name);
  for (const { Sid, Action, Resource, Condition } of Statement) {
    const reads = Action.every(action => /:(Describe|Get|List)/.test(action));
    t.true(reads || (!Resource.includes('*') && Resource.every(each => each.startsWith('arn:aws-cn:'))), Sid);
    t.true(reads || Condition !== undefined || /^(NameImages|UseKeys)$/.test(Sid), Sid);
  }
  const looking = iamPolicy({ purposes: ['look'], partition: 'aws', parameters: undefined, keys: [] });
  t.true(looking.Statement.every(({ Action }) => Action.every(action => /:(Describe|Get)/.test(action))));
});

test('the policy lets our tag be given only to what is made, but for snapshots that EBS begins', t => {
  const of = (purposes: readonly Purpose[]) =>
    iamPolicy({ purposes, partition: 'aws', parameters: undefined, keys: [] })
      .Statement.filter(
        ({ Action, Condition }) =>
          Action.includes('ec2:CreateTags') &&
          Object.keys(Condition?.['StringEquals'] ?? {}).some(key => key.startsWith('aws:RequestTag/')),
      )
      .map(({ Resource, Condition }) => [Resource, Condition?.['StringEquals']?.['ec2:CreateAction']]);
  t.deepEqual(of(['look', 'publish', 'upload', 'manage']), [
    [['arn:aws:ec2:*::image/*'], ['RegisterImage']],
    [['arn:aws:ec2:*::snapshot/*'], undefined],
  ]);
  t.deepEqual(of(['look', 'publish', 'unpackers', 'manage']), [
    [
      ['arn:aws:ec2:*::image/*', 'arn:aws:ec2:*::snapshot/*', 'arn:aws:ec2:*:*:volume/*'],
      ['CreateSnapshot', 'CreateVolume', 'RegisterImage'],
    ],
  ]);
});

test('images are made only of snapshots that are ours', t => {
  const { Statement } = iamPolicy({
    purposes: ['publish', 'upload'],
    partition: 'aws',
    parameters: undefined,
    keys: [],
  });
  const of = Statement.filter(({ Action }) => Action.includes('ec2:RegisterImage'));
  for (const { Sid, Resource, Condition } of of) {
    const ours = { StringEquals: { 'aws:ResourceTag/ManagedBy': 'image-unpacker' } };
    if (Resource.some(each => each.includes('snapshot'))) t.deepEqual(Condition, ours, Sid);
  }
  t.is(of.length, 2);
});
