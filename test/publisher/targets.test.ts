import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { ImageUnpackerError } from '../../src/image/error.js';
import { parseTargets, readTargets } from '../../src/publisher/read-targets.js';
import { localTarget } from '../../src/publisher/target.js';
import {
  isTargetSyntax,
  parseTargetSyntax,
  selectGroup,
  selectTargets,
} from '../../src/publisher/target-syntax.js';
import { temporaryDirectory } from '../temporary-directory.js';

const FILE = `
defaults: { strategy: snapshot, kmsKey: alias/images, architecture: arm64, bootMode: uefi }
targets:
  - local: ./published
    format: qcow2
  - account: "111122223333"
    name: production
    role: arn:aws:iam::111122223333:role/ami-publisher
    regions: [us-east-1, eu-west-1]
    group: general
  - account: "444455556666"
    regions: [us-gov-west-1]
    strategy: direct
`;

function messageOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    const { code, message } = error as ImageUnpackerError;
    return `${code}: ${message}`;
  }
  return 'no error';
}

test('a targets file says where to publish to, and how', t => {
  const targets = parseTargets(FILE, '/etc/targets.yaml');
  t.deepEqual(
    targets.map(({ name }) => name),
    ['local:/etc/published', 'production/us-east-1', 'production/eu-west-1', '444455556666/us-gov-west-1'],
  );
  t.deepEqual(targets[0], localTarget('/etc/published', 'qcow2'));
  t.like(targets[1], {
    kind: 'aws',
    account: 'production',
    strategy: 'snapshot',
    group: 'general',
    access: { accountId: '111122223333', role: 'arn:aws:iam::111122223333:role/ami-publisher' },
    settings: { kmsKey: 'alias/images', architecture: 'arm64', bootMode: 'uefi', imds: 'v2', tpm: false },
  });
  t.like(targets[3], { strategy: 'direct', account: '444455556666' });
});

const refused: [text: string, message: RegExp][] = [
  [
    'targets:\n  - local: a\n    formt: raw\n',
    /^CONFIGURATION: t\.yaml: line 3: unknown key "formt"; did you mean "format"/,
  ],
  ['target: []\n', /unknown key "target"; did you mean "targets"/],
  ['targets:\n  - local: a\n    format: vmdk\n', /line 3: targets\.0\.format: one of raw, qcow2 is expected/],
  ['targets:\n  - account: 111122223333\n    regions: [us-east-1]\n', /line 2: .*put it between quotes/],
  ['targets:\n  - account: "1"\n    regions: [us-east-1]\n', /twelve digits/],
  ['targets:\n  - account: "111122223333"\n    regions: [useast1]\n', /line 3: .*a region is like us-east-1/],
  [
    'targets:\n  - account: "111122223333"\n    region: us-east-1\n',
    /unknown key "region"; did you mean "regions"/,
  ],
  ['targets: []\n', /there is no target/],
  [
    'targets:\n  - account: "111122223333"\n    regions: [us-east-1]\n    throughput: 800\n',
    /t\.yaml: the target 111122223333\/us-east-1 has a throughput of 800; with 3000 iops it can be 750 at most, and 800 takes 3200 iops/,
  ],
  [
    'defaults: { iops: 4000 }\ntargets:\n  - account: "111122223333"\n    regions: [us-east-1]\n    throughput: 1001\n',
    /has a throughput of 1001; with 4000 iops it can be 1000 at most, and 1001 takes 4004 iops/,
  ],
  [
    'defaults: { deprecateAfter: 3651d }\ntargets:\n  - local: a\n',
    /line 1: defaults\.deprecateAfter: it can be 3650d at most/,
  ],
  ['targets:\n  - local: a\n  - local: ./a\n    format: qcow2\n', /the target local:.*\/a is there twice/],
];

for (const [text, message] of refused) {
  test(`a targets file is refused: ${String(message)}`, t => {
    t.regex(
      messageOf(() => parseTargets(text, 't.yaml')),
      message,
    );
  });
}

test('a file of targets that is not there is an error of the configuration', async t => {
  const directory = temporaryDirectory(t);
  const file = join(directory, 'targets.yaml');
  t.is((await t.throwsAsync<ImageUnpackerError>(readTargets(file))).code, 'CONFIGURATION');
  writeFileSync(file, 'targets:\n  - local: here\n');
  t.deepEqual(await readTargets(file), [localTarget(join(directory, 'here'))]);
});

test('targets are written as the reference system writes them', t => {
  const targets = parseTargetSyntax('prod,us-east-1; 111122223333,eu-west-1 ;local:/srv/a;local,/srv/b');
  t.deepEqual(
    targets.map(({ name }) => name),
    ['prod/us-east-1', '111122223333/eu-west-1', 'local:/srv/a', 'local:/srv/b'],
  );
  for (const text of ['a,b,c', 'local,*', 'local:', ' ; ,', 'test,', '*,eu-west-1', '*'])
    t.regex(
      messageOf(() => parseTargetSyntax(text)),
      /^USAGE/,
    );
  t.deepEqual(['a,b', 'local:x', '*', 'targets.yaml', 'local:'].map(isTargetSyntax), [
    true,
    true,
    true,
    false,
    true,
  ]);
});

test('targets are selected by account and region', t => {
  const targets = parseTargets(FILE, '/etc/targets.yaml');
  const names = (only?: string, skip?: string) => selectTargets(targets, only, skip).map(({ name }) => name);
  const [local, east, west, gov] = targets.map(({ name }) => name);
  t.deepEqual(names(), [local, east, west, gov]);
  t.deepEqual(names('production,*'), [east, west]);
  t.deepEqual(names('production'), [east, west]);
  t.deepEqual(names('111122223333,us-east-1;local'), [local, east]);
  t.deepEqual(names(',eu-west-1'), [west]);
  t.deepEqual(names('local:/etc/published'), [local]);
  t.deepEqual(names('*', 'production,us-east-1;local,/etc/published'), [west, gov]);
  t.deepEqual(names(undefined, 'production,'), [local, gov]);
});

test('a selection that is none of the targets is an error that names the nearest', t => {
  const targets = parseTargets(FILE, '/etc/targets.yaml');
  t.is(
    messageOf(() => selectTargets(targets, 'production,us-esat-1')),
    `USAGE: Option '--only': "production,us-esat-1" is none of the targets; did you mean "production,us-east-1"?`,
  );
  t.regex(
    messageOf(() => selectTargets(targets, undefined, 'x')),
    /^USAGE: Option '--skip': "x" is none of the targets; the targets are local,\/etc\/published; /,
  );
  t.regex(
    messageOf(() => selectTargets(targets, 'local', 'local')),
    /No target is left/,
  );
});

test('targets are selected by their group', t => {
  const targets = parseTargets(FILE, '/etc/targets.yaml');
  t.deepEqual(
    selectGroup(targets, 'general').map(({ name }) => name),
    ['production/us-east-1', 'production/eu-west-1'],
  );
  t.regex(
    messageOf(() => selectGroup(targets, 'genral')),
    /^USAGE: No target is of the group genral; did you mean general/,
  );
});
