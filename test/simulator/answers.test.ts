import test from 'ava';
import type { Answer } from './ask.js';
import { ask, ec2, start, startSnapshot, whole } from './ask.js';

/*
 * What the simulator answers, in the words and bytes that AWS was seen to answer with. No publisher's code, and no SDK, has
 * a part in it, so that the two cannot agree on an error.
 */

test('EC2 answers in its envelope, with lists that are there when they are empty', async t => {
  const simulator = await start(t);
  const { status, headers, body } = await ec2(simulator, 'DescribeSnapshots');
  t.is(status, 200);
  t.is(headers.get('content-type'), 'text/xml;charset=UTF-8');
  t.truthy(headers.get('x-amzn-requestid'));
  t.regex(
    body,
    /^<DescribeSnapshotsResponse xmlns="http:\/\/ec2.amazonaws.com\/doc\/2016-11-15\/"><requestId>/,
  );
  t.regex(body, /<snapshotSet><\/snapshotSet>/);
});

test('an error of EC2 has no namespace and a capital RequestID', async t => {
  const simulator = await start(t);
  const { status, body } = await ec2(simulator, 'DescribeSnapshots', {
    'SnapshotId.1': 'snap-0ffffffffffffffff',
  });
  t.is(status, 400);
  t.regex(
    body,
    /^<Response><Errors><Error><Code>InvalidSnapshot.NotFound<\/Code><Message>The snapshot 'snap-0f+' does not exist.<\/Message><\/Error><\/Errors><RequestID>/,
  );
});

test('an image is registered once by its name, of a snapshot that is complete, and keeps that from being deleted', async t => {
  const simulator = await start(t);
  const id = await whole(simulator);
  const mapping = {
    RootDeviceName: '/dev/xvda',
    'BlockDeviceMapping.1.DeviceName': '/dev/xvda',
    'BlockDeviceMapping.1.Ebs.SnapshotId': id,
  };
  const register = (more: Record<string, string> = {}) =>
    ec2(simulator, 'RegisterImage', { Name: 'base/os', ...mapping, ...more });
  const registered = await register();
  const imageId = /<imageId>(.*)<\/imageId>/.exec(registered.body)![1]!;
  t.regex(
    (await register()).body,
    new RegExp(`InvalidAMIName.Duplicate.*AMI name base/os is already in use by AMI ${imageId}`),
  );
  const errors: [Record<string, string>, RegExp][] = [
    [{ Name: 'x' }, /InvalidAMIName.Malformed/],
    [{ Name: 'one', RootDeviceName: '/dev/sda1' }, /InvalidBlockDeviceMapping.*No root snapshot specified/],
    [
      { Name: 'two', 'BlockDeviceMapping.1.Ebs.SnapshotId': 'snap-0ffffffffffffffff' },
      /InvalidSnapshotID.NotFound.*The snapshot ID 'snap-0f+' does not exist/,
    ],
    [{ Name: 'six', 'BlockDeviceMapping.1.Ebs.Encrypted': 'false' }, /InvalidParameter</],
  ];
  for (const [more, expected] of errors) t.regex((await register(more)).body, expected);
  const used = await ec2(simulator, 'DeleteSnapshot', { SnapshotId: id });
  t.regex(
    used.body,
    new RegExp(`InvalidSnapshot.InUse.*The snapshot ${id} is currently in use by ${imageId}`),
  );
  t.is((await ec2(simulator, 'DeregisterImage', { ImageId: imageId })).status, 200);
  t.regex((await ec2(simulator, 'DeregisterImage', { ImageId: imageId })).body, /InvalidAMIID.Unavailable/);
  const gone = await ec2(simulator, 'DescribeImages', { 'ImageId.1': imageId });
  t.deepEqual([gone.status, gone.body.includes('<imagesSet></imagesSet>')], [200, true]);
  const never = await ec2(simulator, 'DescribeImages', { 'ImageId.1': 'ami-0ffffffffffffffff' });
  t.regex(never.body, /InvalidAMIID.NotFound.*The image id '\[ami-0f+\]' does not exist/);
  t.is((await ec2(simulator, 'DeleteSnapshot', { SnapshotId: id })).status, 200);
});

test('pages are of five at least, not of what ids name, and may be short', async t => {
  const simulator = await start(t);
  for (let at = 0; at < 6; at++) await startSnapshot(simulator, { ClientToken: String(at) });
  t.regex(
    (await ec2(simulator, 'DescribeImages', { MaxResults: '1' })).body,
    /Expecting a value greater than 5/,
  );
  const both = await ec2(simulator, 'DescribeImages', { MaxResults: '5', 'ImageId.1': 'ami-00000001' });
  t.regex(both.body, /InvalidAMIID.NotFound|InvalidParameterCombination/);
  simulator.world.pageSize = 4;
  const { body } = await ec2(simulator, 'DescribeSnapshots', { MaxResults: '5' });
  t.is(body.split('<item>').length - 1, 4);
  const token = /<nextToken>(.*)<\/nextToken>/.exec(body)![1]!;
  const rest = await ec2(simulator, 'DescribeSnapshots', { MaxResults: '5', NextToken: token });
  t.is(rest.body.split('<item>').length - 1, 2);
  t.false(rest.body.includes('nextToken'));
});

test('a parameter that is to name an image is answered with a version, and does not name one that is none', async t => {
  const simulator = await start(t);
  const ssm = (operation: string, given: object): Promise<Answer> =>
    ask(simulator, 'ssm', '/', {
      headers: { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': `AmazonSSM.${operation}` },
      body: JSON.stringify(given),
    });
  const absent = await ssm('GetParameter', { Name: '/x' });
  t.deepEqual([absent.status, JSON.parse(absent.body)], [400, { __type: 'ParameterNotFound' }]);
  t.like(JSON.parse((await ssm('PutParameter', { Name: '/x', Value: 'a', Type: 'String' })).body), {
    Version: 1,
  });
  const again = await ssm('PutParameter', { Name: '/x', Value: 'b', Type: 'String' });
  t.like(JSON.parse(again.body), { __type: 'ParameterAlreadyExists' });
  const image = { Name: '/y', Value: 'ami-0ffffffffffffffff', Type: 'String', DataType: 'aws:ec2:image' };
  t.like(JSON.parse((await ssm('PutParameter', image)).body), { Version: 1 });
  t.is((await ssm('GetParameter', { Name: '/y' })).status, 400);
});

test('an access key of no account is refused, and STS answers in an envelope of its own', async t => {
  const simulator = await start(t);
  const body = 'Action=AssumeRole&Version=2011-06-15&RoleArn=arn:aws:iam::1:role/x&RoleSessionName=x';
  const denied = await ask(simulator, 'sts', '/', { body });
  t.is(denied.status, 403);
  t.regex(
    denied.body,
    /^<ErrorResponse xmlns="https:\/\/sts.amazonaws.com\/doc\/2011-06-15\/"><Error><Type>Sender<\/Type><Code>AccessDenied/,
  );
  const headers = { authorization: 'AWS4-HMAC-SHA256 Credential=AKIAX/20261126/us-east-1/ec2/aws4_request' };
  const unknown = await ask(simulator, 'ec2', '/', { headers, body: 'Action=DescribeImages' });
  t.regex(unknown.body, /AuthFailure/);
});
