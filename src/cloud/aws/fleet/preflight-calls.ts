import type { CallName, CallTypes } from '../calls.js';
import type { Probe, Trial } from '../preflight-trial.js';
import { dryRun, heeded } from '../preflight-trial.js';
import { MANAGED_BY, toTagList } from '../tags.js';
import type { FleetCallTypes } from './calls.js';
import type { FleetInstance } from './instances.js';
import type { FleetVolume } from './volumes.js';

const TAGS = toTagList({ [MANAGED_BY.key]: MANAGED_BY.value });
const NO_VOLUME = {
  state: 'unknown',
  message: 'the stream has no volume yet that it could be tried on',
} as const;
const NO_UNPACKER = {
  state: 'unknown',
  message: 'there is no unpacker that it could be tried on',
} as const;

/** A trial on an unpacker, if there is one. */
function onInstance<N extends CallName & keyof FleetCallTypes>(
  name: N,
  inputOf: (instance: FleetInstance) => CallTypes[N][0] & { DryRun?: boolean | undefined },
): Probe {
  return async trial => {
    const instance = trial.unpacker?.instance;
    return instance === undefined ? NO_UNPACKER : heeded(trial, () => dryRun(trial, name, inputOf(instance)));
  };
}

/** A trial on the volume of the stream, if there is one. */
function onVolume<N extends CallName & keyof FleetCallTypes>(
  name: N,
  inputOf: (volume: FleetVolume, trial: Trial) => CallTypes[N][0] & { DryRun?: boolean | undefined },
): Probe {
  return async trial => {
    const volume = trial.unpacker?.volume;
    return volume === undefined
      ? NO_VOLUME
      : heeded(trial, () => dryRun(trial, name, inputOf(volume, trial)));
  };
}

/**
 * How the calls on unpackers and volumes are tried. What is sent would change little or nothing even where DryRun were
 * not heeded: a volume keeps its size, is attached where it is, and is not detached or deleted while it is in use.
 */
export const FLEET_PROBES: Readonly<Partial<Record<CallName, Probe>>> = {
  DescribeInstances: trial => dryRun(trial, 'DescribeInstances', { MaxResults: 5 }),
  DescribeVolumes: trial => dryRun(trial, 'DescribeVolumes', { MaxResults: 5 }),
  DescribeVolumesModifications: trial => dryRun(trial, 'DescribeVolumesModifications', { MaxResults: 5 }),
  StartInstances: onInstance('StartInstances', ({ id }) => ({ InstanceIds: [id] })),
  CreateVolume: onInstance('CreateVolume', ({ zone }) => ({
    AvailabilityZone: zone,
    Size: 1,
    VolumeType: 'gp3',
    Encrypted: true,
    TagSpecifications: [{ ResourceType: 'volume', Tags: TAGS }],
  })),
  AttachVolume: onVolume('AttachVolume', ({ id, attachment }, { unpacker }) => ({
    Device: '/dev/sdf',
    InstanceId: attachment?.instanceId ?? unpacker!.instance!.id,
    VolumeId: id,
  })),
  DetachVolume: onVolume('DetachVolume', ({ id }) => ({ VolumeId: id })),
  ModifyVolume: onVolume('ModifyVolume', ({ id, size }) => ({ VolumeId: id, Size: size })),
  DeleteVolume: onVolume('DeleteVolume', ({ id }) => ({ VolumeId: id })),
  CreateSnapshot: onVolume('CreateSnapshot', ({ id }) => ({
    VolumeId: id,
    TagSpecifications: [{ ResourceType: 'snapshot', Tags: TAGS }],
  })),
};
