import { ImageUnpackerError } from '../../image/error.js';
import { command } from '../command.js';
import { flag, oneOf, optional, repeated } from '../option.js';

const PARTITION = /^aws(-[a-z]+)*$/;
const PATH = /^(\/[A-Za-z0-9_.-]+)+$/;
const KEY = /^arn:aws[a-z-]*:kms:/;

function matching(pattern: RegExp, what: string): (text: string) => string {
  return text => {
    if (pattern.test(text)) return text;
    throw new ImageUnpackerError('USAGE', `"${text}" is not ${what}`);
  };
}

export const iamPolicyCommand = command({
  name: 'iam-policy',
  summary: 'Print the least that a role for publishing has to be allowed',
  details:
    'It is made from the same table of calls that publishing uses. All that changes anything is bound to the tag ManagedBy, ' +
    'which the publisher gives to what it makes.',
  options: {
    planOnly: flag('--plan-only', 'only what plan and list-images take'),
    strategy: optional(
      '--strategy <strategy>',
      'what is published with: direct (the default), or snapshot, which takes unpackers',
      oneOf('direct', 'snapshot'),
    ),
    unpackerName: optional('--unpacker-name <name>', 'what unpackers are called; default: ImageUnpacker'),
    share: flag('--share', 'also to let other accounts start machines of the images'),
    findUses: flag(
      '--find-uses',
      'also to look for what uses images: list-used-images, list-unused-images, delete-unused-images',
    ),
    parameters: optional(
      '--parameters <path>',
      'also to name images by parameters below this path: /images',
      matching(PATH, 'a path like /images'),
    ),
    keys: repeated(
      '--key <arn>',
      'a key of your own that disks are encrypted with',
      matching(KEY, 'the ARN of a key'),
    ),
    partition: optional(
      '--partition <partition>',
      'aws (the default), aws-us-gov or aws-cn',
      matching(PARTITION, 'a partition'),
    ),
  },
  run: async ({ options }) => {
    const { iamPolicy } = await import('../../cloud/aws/iam-policy.js');
    const {
      planOnly,
      share,
      findUses,
      parameters,
      keys,
      partition = 'aws',
      strategy,
      unpackerName,
    } = options;
    const own = strategy === 'snapshot' ? 'unpackers' : 'upload';
    const changing = planOnly ? [] : (['publish', own, 'manage', 'read-back'] as const);
    const more = [
      ...(share ? (['share'] as const) : []),
      ...(findUses ? (['find-uses'] as const) : []),
      ...(parameters === undefined ? [] : (['parameters'] as const)),
    ];
    return iamPolicy({ purposes: ['look', ...changing, ...more], partition, parameters, keys, unpackerName });
  },
  show: policy => JSON.stringify(policy, undefined, 2),
});
