import { isMissing } from './fault.js';
import type { AwsSession, CallOptions } from './session.js';
import { waitFor } from './wait.js';

/** That an image is there is looked at after PutParameter has answered, and nothing tells what was found. */
const DEADLINE_SECONDS = 60;

/** A parameter that is to name an image. */
export interface ImageParameter {
  readonly name: string;
  readonly value: string;
  readonly target: string;
  readonly signal?: AbortSignal | undefined;
}

/** What a parameter says; undefined when there is none. */
export async function readParameter(
  session: AwsSession,
  name: string,
  signal?: AbortSignal,
): Promise<string | undefined> {
  try {
    return (await session.call('GetParameter', { Name: name }, { signal })).Parameter?.Value;
  } catch (reason) {
    if (isMissing(reason)) return undefined;
    throw reason;
  }
}

/** Points a parameter to an image, and waits until it does. Throws `TIMEOUT` when AWS does not take it. */
export async function publishParameter(
  session: AwsSession,
  { name, value, target, signal }: ImageParameter,
): Promise<void> {
  // Each writing makes a version, even of what it says already.
  if ((await readParameter(session, name, signal)) === value) return;
  const input = {
    Name: name,
    Value: value,
    Type: 'String' as const,
    DataType: 'aws:ec2:image',
    Overwrite: true,
  };
  await session.call('PutParameter', input, { signal });
  const what = `the parameter ${name} to be ${value}`;
  await waitFor(session, { what, deadlineSeconds: DEADLINE_SECONDS, target, signal }, async () =>
    (await readParameter(session, name, signal)) === value ? true : undefined,
  );
}

/** Names in one request (GetParameters). */
const MOST_NAMES = 10;

/** What these parameters say, by their names; a name may have `:VERSION` after it. Those that are not there are left out. */
export async function readParameters(
  session: AwsSession,
  names: readonly string[],
  options: CallOptions,
): Promise<Map<string, string>> {
  const values = new Map<string, string>();
  for (let at = 0; at < names.length; at += MOST_NAMES) {
    const Names = names.slice(at, at + MOST_NAMES);
    const { Parameters = [] } = await session.call('GetParameters', { Names }, options);
    for (const { Name = '', Selector = '', Value } of Parameters) {
      if (Value !== undefined) values.set(Name + Selector, Value);
    }
  }
  return values;
}

/** Where the parameters of a stream are: `PATH/STREAM/latest` names its newest image. */
export type StreamParameter = 'latest' | 'promoted' | 'previous';

/** The name of a parameter of a stream. What names of parameters do not have (PutParameter) is `_HEX_` in it. */
export function parameterName(path: string, stream: string, which: StreamParameter): string {
  const name = stream.replace(/[^A-Za-z0-9_./-]/gu, text => `_${Buffer.from(text).toString('hex')}_`);
  return `${path}/${name}/${which}`;
}

/** Takes a parameter away; one that is not there is no error. */
export async function deleteParameter(
  session: AwsSession,
  name: string,
  options: CallOptions,
): Promise<void> {
  try {
    await session.call('DeleteParameter', { Name: name }, options);
  } catch (reason) {
    if (!isMissing(reason)) throw reason;
  }
}
