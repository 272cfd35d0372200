import type { ProgressUnit } from '../../../image/progress.js';
import type { DiskMap } from '../../../image/disk-map.js';
import type { DiskBoot } from '../../cloud.js';

interface Options {
  signal?: AbortSignal | undefined;
  onProgress?:
    | ((progress: { step: string; done: number; total: number | null; unit: ProgressUnit | null }) => void)
    | undefined;
}

/** What a target needs of the agent on an unpacker; whoever opens the target says how agents are reached. */
export interface FleetAgent {
  status(
    options: Options,
  ): Promise<{ streams: readonly { stream: string; state: string; digest: string | null }[] }>;
  devices(options: Options): Promise<readonly { id: string; size: number; stream: string | null }[]>;
  pin(stream: string, device: string, options: Options): Promise<unknown>;
  forget(stream: string, removeVolume: boolean, options: Options): Promise<void>;
  unpack(
    request: { image: string; digest: string; create: boolean; scrub: boolean },
    options: Options,
  ): Promise<{
    boot: DiskBoot | null;
    blocksWritten: number | null;
    warnings: readonly string[];
    /** Absent with an agent that does not know how to scrub. */
    scrubbed?: boolean | undefined;
  }>;
  /** Holds the volume, which is proved to be unmounted and the image, until it is closed. */
  capture(
    stream: string,
    digest: string,
    options: Options,
  ): Promise<{ map: DiskMap; close(): Promise<void> }>;
  close(): Promise<void>;
}

/** Connects to the agent at an address, which may be coming up: it may take `patience` seconds. */
export type ConnectAgent<A = FleetAgent> = (
  address: string,
  how: { patience: number; signal?: AbortSignal | undefined },
) => Promise<A>;
