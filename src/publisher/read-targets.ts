import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import * as v from 'valibot';
import { parseConfiguration, section } from '../image/configuration.js';
import { ImageUnpackerError } from '../image/error.js';
import type { AwsTarget, Target } from './target.js';
import { localTarget } from './target.js';

/*
 * A targets file is YAML:
 *
 *   defaults:                     what a target has that does not say it itself
 *     strategy, format, kmsKey, architecture, bootMode, group
 *   targets:
 *     - local: DIR                a directory, from where the file is
 *       format: raw | qcow2
 *     - account: "111122223333"   twelve digits, as a string
 *       name: production          what it is called in results; the account if left out
 *       regions: [us-east-1]
 *       role, group, strategy, kmsKey, architecture, bootMode
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
const region = v.pipe(text, v.regex(/^[a-z]{2,}(-[a-z]+)+-\d+$/, 'a region is like us-east-1'));

const awsSettings = {
  group: v.optional(text),
  kmsKey: v.optional(text, 'default'),
  architecture: v.optional(architecture, 'x86_64'),
  bootMode: v.optional(bootMode, 'uefi-preferred'),
};

const localSchema = section({ local: text, format: v.optional(format) });
const awsSchema = section({
  account: accountId,
  name: v.optional(v.pipe(text, v.regex(/^[^,;/*\s]+$/, 'a name has no spaces and none of , ; / *'))),
  regions: v.pipe(v.array(region, 'a list of regions is expected'), v.minLength(1, 'it has no region')),
  role: v.optional(text),
  strategy: v.optional(strategy),
  group: v.optional(text),
  kmsKey: v.optional(text),
  architecture: v.optional(architecture),
  bootMode: v.optional(bootMode),
});
const schema = section({
  defaults: v.optional(
    section({
      ...awsSettings,
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
  for (const { name } of all) {
    if (names.has(name)) {
      throw new ImageUnpackerError('CONFIGURATION', `${file}: the target ${name} is there twice`, {
        path: file,
      });
    }
    names.add(name);
  }
  return all;
}

function toTargets(
  given: v.InferOutput<typeof localSchema> | v.InferOutput<typeof awsSchema>,
  defaults: Defaults,
  directory: string,
): Target[] {
  if ('local' in given) {
    return [localTarget(resolve(directory, given.local), given.format ?? defaults.format)];
  }
  const { account, name = account, regions, role } = given;
  const fallback = defaults.strategy === 'snapshot' ? 'snapshot' : 'direct';
  return regions.map((each): AwsTarget => ({
    kind: 'aws',
    name: `${name}/${each}`,
    account: name,
    accountId: account,
    region: each,
    role,
    strategy: given.strategy ?? fallback,
    group: given.group ?? defaults.group,
    kmsKey: given.kmsKey ?? defaults.kmsKey,
    architecture: given.architecture ?? defaults.architecture,
    bootMode: given.bootMode ?? defaults.bootMode,
  }));
}
