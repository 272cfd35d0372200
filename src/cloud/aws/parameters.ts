import { isMissing } from './fault.js';
import type { AwsSession } from './session.js';
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
