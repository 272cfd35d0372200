import type { DiskMap } from '../image/disk-map.js';
import type { ProgressUnit } from '../image/progress.js';

/*
 * What an unpacker does for a publisher and for its operators, whether it is an agent elsewhere, reached
 * over gRPC, or one in the same process. Every call ends when its signal is aborted, and leaves the stream
 * in a state from which the next call goes on.
 */

/** How far the work on a stream is. */
export interface UnpackerProgress {
  stream: string;
  /** What is being done, as `ProgressSink.step` has it. */
  step: string;
  done: number;
  total: number | null;
  unit: ProgressUnit | null;
}

/** How calls are watched and stopped. */
export interface CallOptions {
  signal?: AbortSignal | undefined;
  /** Told at least once a second while something is being done. */
  onProgress?: ((progress: UnpackerProgress) => void) | undefined;
}

/** What a volume is to become. */
export interface UnpackRequest {
  /** The image's name: its stream says which volume. */
  image: string;
  /** The digest that the image must have; another one under that name is refused. */
  digest: string;
  /** A volume of the stream's own may be made, and a blank device that is pinned to it formatted. */
  create: boolean;
  /** What is in no use on the volume is made zeros, so that nothing is left of what was there before. */
  scrub?: boolean | undefined;
}

/** What a machine has to be told of a disk to boot from it, in the words of clouds. */
export interface BootFacts {
  architecture: string;
  bootMode: string;
  rootDevice: string;
  /** The versions of the kernels in the menu, the one that is started by itself first. */
  kernels: readonly string[];
}

/** What an unpack did: the result of `image-unpacker apply`. */
export interface UnpackResult {
  image: string;
  digest: string;
  from: string | null;
  scan: string;
  entries: { added: number; removed: number; changed: number; unchanged: number };
  bytesFetched: number;
  bytesWritten: number;
  blocksWritten: number | null;
  generated: readonly string[];
  /** What is in no use on the volume is zeros, as was asked: an agent that does not know how does not say so. */
  scrubbed: boolean;
  /** How what was unpacked boots; null when it does not. */
  boot: BootFacts | null;
  /** What was not as it should be and was put right, or is to be known. */
  warnings: readonly string[];
  seconds: Readonly<Record<string, number>>;
}

/** A disk that is being captured. The volume is held until `close`. */
export interface DiskCapture {
  /** The digests of all blocks. */
  readonly map: DiskMap;
  /** The blocks with these numbers, in that order, 512 KiB each, the last one of the disk zero-padded. */
  blocks(numbers: readonly number[]): AsyncIterable<Buffer>;
  close(): Promise<void>;
}

/**
 * What a stream's volume is in:
 *   absent    its device is not there now, or cannot be used: the error says why
 *   empty     nothing has been unpacked to it
 *   clean     it is exactly an image
 *   doubtful  work on it was interrupted; the next unpack repairs it
 *   busy      work on it is under way
 */
export type StreamState = 'absent' | 'empty' | 'clean' | 'doubtful' | 'busy';

/** A stream and its volume. */
export interface StreamStatus {
  stream: string;
  state: StreamState;
  /** The device, or the image file of a volume that the agent made itself. */
  device: string;
  image: string | null;
  digest: string | null;
  size: number | null;
  progress: UnpackerProgress | null;
  /** Why it is absent; else why the last work on it failed, until the next succeeds. */
  error: { code: string; message: string } | null;
  /** RFC 3339. */
  lastUsed: string | null;
}

/** A block device of the agent's machine. */
export interface DeviceStatus {
  /** What it is known by: serial number, or a name in /dev/disk/by-id, or the path that it was pinned by. */
  id: string;
  path: string;
  size: number;
  /** The stream that is pinned to it. */
  stream: string | null;
  /** Why it can not be used. */
  unusable: string | null;
}

/** An agent as a whole. */
export interface UnpackerStatus {
  version: string;
  /** RFC 3339. */
  startedAt: string;
  lastUsed: string | null;
  streams: StreamStatus[];
}

export interface Unpacker {
  /** Makes the stream's volume the image. An image that is there already costs nothing. */
  unpack(request: UnpackRequest, options?: CallOptions): Promise<UnpackResult>;
  /** Holds the volume of a stream, which must be clean and exactly the image with this digest, and reads its disk. */
  capture(stream: string, digest: string, options?: CallOptions): Promise<DiskCapture>;
  status(options?: CallOptions): Promise<UnpackerStatus>;
  devices(options?: CallOptions): Promise<DeviceStatus[]>;
  /** Pins a stream to a device, by any name of it. Throws `DEVICE_*` when it is not one to be used. */
  pin(stream: string, device: string, options?: CallOptions): Promise<StreamStatus>;
  /** Forgets a stream; a volume that the agent made for it goes with it if `removeVolume`. */
  forget(stream: string, removeVolume: boolean, options?: CallOptions): Promise<void>;
  close(): Promise<void>;
}
