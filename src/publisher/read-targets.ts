import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import * as v from 'valibot';
import { parseConfiguration, section } from '../image/configuration.js';
import type { AwsImageSettings } from '../cloud/aws/settings.js';
import { USUAL_SETTINGS } from '../cloud/aws/settings.js';
import { parseDuration } from '../image/duration.js';
import { ImageUnpackerError } from '../image/error.js';
import type { AwsTarget, Target } from './target.js';
import { localTarget } from './target.js';

/*
 * A targets file is YAML:
 *
 *   defaults:                     what a target has that does not say it itself
 *     strategy, scrub, format, group, and all settings
 *   targets:
 *     - local: DIR                a directory, from where the file is
 *       format: raw | qcow2
 *     - account: "111122223333"   twelve digits, as a string
 *       name: production          what it is called in results; the account if left out
 *       regions: [us-east-1]      or ["*"], every one that is enabled
 *       role: ARN                 that is taken on there; with it externalId and sessionName
 *       profile: NAME             of the SDK's files, which gives the credentials
 *       strategy, scrub, group, and settings:
 *         scrub                   true: with the strategy snapshot, volumes keep nothing of earlier images
 *         kmsKey                  default, or the id, alias or ARN of a key
 *         architecture, bootMode  of images that do not say it themselves
 *         rootSize                GiB that machines get at least for their root
 *         iops, throughput        of gp3 volumes made of the image: operations and MiB a second
 *         imds                    v2 (machines ask for metadata with a token), or optional
 *         tpm                     true or false
 *         sharedWith              accounts, organisations, units that may start machines of it: lists
 *         parameters              a path: SSM parameters PATH/STREAM/latest name the images
 *         deprecateAfter          a duration after which others are not offered it any more: 90d
 */

const text = v.pipe(v.string('a text is expected'), v.nonEmpty('it is empty'));
const oneOf = <const T extends readonly string[]>(choices: T) =>
  v.picklist(choices, `one of ${choices.join(', ')} is expected`);
const format = oneOf(['raw', 'qcow2']);
const strategy = oneOf(['direct', 'snapshot']);
const architecture = oneOf(['x86_64', 'arm64']);
const bootMode = oneOf(['uefi', 'legacy-bios', 'uefi-preferred']);
const accountId = v.pipe(
  v.string('an account is a text of twelve digits: put it between quotes'),
  v.regex(/^\d{12}$/, 'an account is twelve digits'),
);
const region = v.pipe(
  text,
  v.regex(/^([a-z]{2,}(-[a-z]+)+-\d+|\*)$/, 'a region is like us-east-1, or "*" for all'),
);

const path = v.pipe(text, v.regex(/^(\/[A-Za-z0-9_.-]+)+$/, 'a path is like /images'));
const organisation = v.pipe(
  text,
  v.regex(
    /^arn:[a-z-]+:organizations::\d{12}:(organization|ou)\//,
    'the ARN of an organisation or of a unit of one is expected',
  ),
);
/** Of a gp3 volume for which nothing else is said. */
const USUAL_IOPS = 3000;
const count = (least: number, most: number) =>
  v.pipe(v.number('a number is expected'), v.integer(), v.minValue(least), v.maxValue(most));
const duration = v.pipe(
  text,
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    try {
      return parseDuration(dataset.value);
    } catch (reason) {
      addIssue({ message: (reason as Error).message });
      return NEVER;
    }
  }),
);
/** As EnableImageDeprecation takes it: ten years at most. */
const deprecateAfter = v.pipe(duration, v.maxValue(3650 * 86_400, 'it can be 3650d at most'));
const sharedWith = section({
  accounts: v.optional(v.array(accountId), []),
  organisations: v.optional(v.array(organisation), []),
  units: v.optional(v.array(organisation), []),
});

/** What both a target and the defaults may say of images; limits are those of gp3. */
const settings = {
  group: v.optional(text),
  scrub: v.optional(v.boolean('true or false is expected')),
  kmsKey: v.optional(text),
  architecture: v.optional(architecture),
  bootMode: v.optional(bootMode),
  rootSize: v.optional(count(1, 65_536)),
  iops: v.optional(count(3000, 80_000)),
  throughput: v.optional(count(125, 2000)),
  imds: v.optional(oneOf(['v2', 'optional'])),
  tpm: v.optional(v.boolean('true or false is expected')),
  sharedWith: v.optional(sharedWith),
  parameters: v.optional(path),
  deprecateAfter: v.optional(deprecateAfter),
};

const localSchema = section({ local: text, format: v.optional(format) });
const awsSchema = section({
  account: accountId,
  name: v.optional(v.pipe(text, v.regex(/^[^,;/*\s]+$/, 'a name has no spaces and none of , ; / *'))),
  regions: v.pipe(v.array(region, 'a list of regions is expected'), v.minLength(1, 'it has no region')),
  role: v.optional(
    v.pipe(text, v.regex(/^arn:[a-z-]+:iam::\d{12}:role\/./, 'the ARN of a role is expected')),
  ),
  externalId: v.optional(text),
  sessionName: v.optional(
    v.pipe(
      text,
      v.regex(/^[\w+=,.@-]{2,64}$/, 'a session name has 2 to 64 letters, digits or + = , . @ - _'),
    ),
  ),
  profile: v.optional(text),
  strategy: v.optional(strategy),
  ...settings,
});
const schema = section({
  defaults: v.optional(
    section({
      ...settings,
      strategy: v.optional(oneOf(['direct', 'snapshot', 'local'])),
      format: v.optional(format),
    }),
    {},
  ),
  targets: v.pipe(
    v.array(
      v.lazy(given => (isMapping(given) && 'local' in given ? localSchema : awsSchema)),
      'a list of targets is expected',
    ),
    v.minLength(1, 'there is no target'),
  ),
});

type Defaults = v.InferOutput<typeof schema>['defaults'];

function isMapping(given: unknown): given is object {
  return typeof given === 'object' && given !== null;
}

/** The targets that a file lists. Throws `CONFIGURATION` with the line of what is wrong. */
export async function readTargets(file: string): Promise<Target[]> {
  let content: string;
  try {
    content = await readFile(file, 'utf8');
  } catch (reason) {
    const why = reason instanceof Error ? reason.message : String(reason);
    const message = `Cannot read the file of targets ${file}: ${why}`;
    throw new ImageUnpackerError('CONFIGURATION', message, { path: file }, reason);
  }
  return parseTargets(content, file);
}

/** The targets that the text of a file lists. */
export function parseTargets(content: string, file: string): Target[] {
  const { defaults, targets } = parseConfiguration(content, file, schema);
  const all = targets.flatMap(each => toTargets(each, defaults, dirname(resolve(file))));
  const names = new Set<string>();
  for (const target of all) {
    checkThroughput(target, file);
    const { name } = target;
    if (names.has(name)) {
      throw new ImageUnpackerError('CONFIGURATION', `${file}: the target ${name} is there twice`, {
        path: file,
      });
    }
    names.add(name);
  }
  return all;
}

/** A gp3 volume has a quarter MiB a second for each of its operations (AWS). Throws `CONFIGURATION` for more. */
function checkThroughput(target: Target, file: string): void {
  if (target.kind !== 'aws') return;
  const { iops = USUAL_IOPS, throughput = 0 } = target.settings;
  if (throughput <= iops / 4) return;
  const limit = `with ${String(iops)} iops it can be ${String(Math.floor(iops / 4))} at most`;
  const remedy = `${String(throughput)} takes ${String(throughput * 4)} iops`;
  const message = `${file}: the target ${target.name} has a throughput of ${String(throughput)}; ${limit}, and ${remedy}`;
  throw new ImageUnpackerError('CONFIGURATION', message, { path: file });
}

function toTargets(
  given: v.InferOutput<typeof localSchema> | v.InferOutput<typeof awsSchema>,
  defaults: Defaults,
  directory: string,
): Target[] {
  if ('local' in given) {
    return [localTarget(resolve(directory, given.local), given.format ?? defaults.format)];
  }
  const { account, name = account, regions, role, externalId, sessionName, profile } = given;
  const fallback = defaults.strategy === 'snapshot' ? 'snapshot' : 'direct';
  return regions.map((region): AwsTarget => ({
    kind: 'aws',
    name: `${name}/${region}`,
    account: name,
    region,
    strategy: given.strategy ?? fallback,
    scrub: given.scrub ?? defaults.scrub,
    group: given.group ?? defaults.group,
    access: { accountId: account, role, externalId, sessionName, profile },
    settings: settingsOf(given, defaults),
  }));
}

type GivenSettings = { readonly [K in keyof AwsImageSettings]?: AwsImageSettings[K] | undefined };

function settingsOf(given: GivenSettings, defaults: GivenSettings): AwsImageSettings {
  const of = <K extends keyof AwsImageSettings>(key: K): GivenSettings[K] => given[key] ?? defaults[key];
  return {
    kmsKey: of('kmsKey') ?? USUAL_SETTINGS.kmsKey,
    architecture: of('architecture') ?? USUAL_SETTINGS.architecture,
    bootMode: of('bootMode') ?? USUAL_SETTINGS.bootMode,
    rootSize: of('rootSize'),
    iops: of('iops'),
    throughput: of('throughput'),
    imds: of('imds') ?? USUAL_SETTINGS.imds,
    tpm: of('tpm') ?? USUAL_SETTINGS.tpm,
    sharedWith: of('sharedWith'),
    parameters: of('parameters'),
    deprecateAfter: of('deprecateAfter'),
  };
}
