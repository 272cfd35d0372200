import type { Tags } from '../../cloud/cloud.js';
import type { TargetRow } from '../row.js';
import type { Target } from '../target.js';
import type { ConnectAgent } from './connect-agent.js';

/*
 * What work with unpackers takes, and the rows that it resolves to. Types of AWS's packages are kept out of here: whoever
 * compiles with the module need not have them.
 */

/** What everything that looks at unpackers takes. */
export interface FleetOptions {
  readonly targets: readonly Target[];
  /** What their instances are called (tag `Name`); default: `ImageUnpacker`. */
  readonly unpackerName?: string | undefined;
  /** The directory of the certificates that agents are called with. */
  readonly certs?: string | undefined;
  /** The name that the agents' certificates have; default: the private addresses of their instances. */
  readonly serverName?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** How agents are reached; for tests, and for agents that are elsewhere. */
  readonly connect?: ConnectAgent | undefined;
}

/** An unpacker, with the reference system's keys and ours. */
export interface UnpackerRow {
  InstanceId: string;
  IpAddress?: string;
  State: string;
  AvailabilityZone: string;
  /** Seconds since anything was last asked of it that takes work; absent when that was never, or is not known. */
  TimeSinceLastUsed?: number;
  /** Streams that it has volumes of, and those of them that are worked on now. */
  Streams?: string[];
  Busy?: string[];
  Version?: string;
  Tags: Record<string, string>;
  /** Why the agent did not answer. */
  Error?: string;
  ErrorCode?: string;
}

/** The unpackers of a target. */
export interface UnpackersRow extends TargetRow {
  Unpackers: UnpackerRow[];
}

/** An instance that was started, with the reference system's keys. */
export interface InstanceRow extends TargetRow {
  InstanceId?: string;
  PrivateIp?: string;
  /** Whether it ran already. */
  AlreadyRunning?: boolean;
}

/** What is started. */
export interface StartInstancesOptions extends FleetOptions {
  /** Wait until the agent on it answers. */
  readonly agents?: boolean | undefined;
  readonly dryRun?: boolean | undefined;
}

/** What was stopped in a target. */
export interface StoppedRow extends TargetRow {
  /** Instances that were stopped, or would be. */
  Stopped: string[];
  /** Those that run on: they are or were just used. */
  Running: string[];
}

/** Which unpackers are stopped. */
export interface StopIdleOptions extends FleetOptions {
  /** Seconds that one may have done nothing. */
  readonly maxIdle: number;
  readonly dryRun?: boolean | undefined;
}

/** The unpackers of a target whose tags were changed, or would be. */
export interface TaggedRow extends TargetRow {
  InstanceIds: string[];
}

/** What is changed. */
export interface TagUnpackersOptions extends FleetOptions {
  readonly set?: Tags | undefined;
  readonly remove?: readonly string[] | undefined;
  readonly dryRun?: boolean | undefined;
}

/** Volumes of a target that were made or removed, or would be. */
export interface VolumesRow extends TargetRow {
  VolumeIds: string[];
  /** GiB of all of them. */
  Size: number;
  InstanceId?: string;
}

/** Which volume is added. */
export interface AddVolumesOptions extends FleetOptions {
  /** GiB. */
  readonly size: number;
  readonly dryRun?: boolean | undefined;
}

/** Which volumes are removed. */
export interface RemoveVolumesOptions extends FleetOptions {
  readonly dryRun?: boolean | undefined;
}
