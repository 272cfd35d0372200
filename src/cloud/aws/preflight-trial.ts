import type { CloudCallOptions, PreflightCheck } from '../cloud.js';
import type { CallName, CallTypes } from './calls.js';
import { AwsError } from './fault.js';
import type { Sample, TargetPreflight } from './preflight.js';
import type { AwsSession } from './session.js';

/* How a call is tried without anything being changed. */

/** What the trial of a call showed. */
export type Verdict = Pick<PreflightCheck, 'state' | 'message'>;

/** What a call is tried with. */
export interface Trial extends TargetPreflight {
  readonly session: AwsSession;
  readonly sample: Sample | undefined;
  readonly options: CloudCallOptions;
}

export type Probe = (trial: Trial) => Promise<Verdict>;

export const OK: Verdict = { state: 'ok', message: 'allowed' };
export const NO_SAMPLE: Verdict = {
  state: 'unknown',
  message: 'there is nothing of ours yet that it could be tried on',
};

/** Asks EC2 whether a call would be made (DryRun). */
export async function dryRun<N extends CallName>(
  { session, options }: Trial,
  name: N,
  input: CallTypes[N][0] & { DryRun?: boolean | undefined },
): Promise<Verdict> {
  try {
    await session.call(name, { ...input, DryRun: true }, options);
  } catch (reason) {
    if (reason instanceof AwsError && reason.fault.name === 'DryRunOperation') return OK;
    throw reason;
  }
  return { state: 'unknown', message: 'the endpoint does not know DryRun' };
}

/** A trial on what is ours, if there is anything. */
export function onSample<N extends CallName>(
  name: N,
  inputOf: (sample: Sample, trial: Trial) => CallTypes[N][0] & { DryRun?: boolean | undefined },
): Probe {
  return async trial => {
    const { sample } = trial;
    return sample === undefined
      ? NO_SAMPLE
      : heeded(trial, () => dryRun(trial, name, inputOf(sample, trial)));
  };
}

/** Makes a trial only where DryRun is known to be heeded. */
export async function heeded(trial: Trial, probe: () => Promise<Verdict>): Promise<Verdict> {
  const known = await dryRun(trial, 'DescribeImages', { Owners: ['self'], MaxResults: 5 });
  return known.state === 'ok' ? probe() : known;
}
