import type { CachePlace } from '../store/open.js';
import type { ErrorSubject } from '../image/error.js';
import { ERROR_CODES, ImageUnpackerError } from '../image/error.js';
import type { ProgressUnit } from '../image/progress.js';
import type { Limits } from '../image/settable-limits.js';
import type { UnpackResult } from '../rpc/unpacker.js';
import type { BootOptions, DiskOptions } from '../volume/boot/options.js';
import type { Layout } from '../volume/identity.js';

/*
 * What the agent and the process that works for it say to each other. Messages go over the channel between parent
 * and child; the bytes of a capture over a socket of their own (frames.ts): the disk map, then each block that is
 * asked for.
 */

/** The descriptors that a worker is born with, besides its channel. */
export const FRAMES_DESCRIPTOR = 4;

/** Where a volume is. */
export type VolumePlace =
  | { kind: 'device'; path: string; size: number }
  /** A file, attached to a loop device for the time. It is made if `make` says how large at the least. */
  | {
      kind: 'file';
      path: string;
      make: VolumeSize | null;
      /** Smaller ones are enlarged to so many bytes. */ least: number | null;
    };

/** How the volume of a stream is made. */
export interface StreamSettings {
  layout?: Layout | undefined;
  boot: BootOptions;
  disk: DiskOptions;
}

/** The size of a volume that is to be made: as configured, or what suits the content. */
export type VolumeSize = { kind: 'fixed'; bytes: number } | { kind: 'fitting' };

export interface UnpackWork {
  kind: 'unpack';
  stateDirectory: string;
  store: string;
  /** Where objects are kept that come from elsewhere. */
  cache: CachePlace;
  /** The directory of the certificates for image servers. */
  certs?: string | undefined;
  limits: Limits;
  /** Public keys in PEM: only images that are signed with one of them are unpacked. */
  trustedKeys?: string | undefined;
  volume: VolumePlace;
  image: string;
  digest: string;
  /** A blank device may be given a file system. */
  format: boolean;
  /** What is in no use becomes zeros. */
  scrub: boolean;
  settings: StreamSettings;
}

export interface CaptureWork {
  kind: 'capture';
  stateDirectory: string;
  volume: VolumePlace;
  digest: string;
}

export type Work = UnpackWork | CaptureWork;

/** What the agent says. */
export type Order =
  | { kind: 'begin'; work: Work }
  /** Give up what is being done, in order. */
  | { kind: 'stop' }
  | { kind: 'blocks'; numbers: readonly number[] }
  /** The capture is no longer needed. */
  | { kind: 'release' };

/** How far the work is. */
export interface Advance {
  step: string;
  done: number;
  total: number | null;
  unit: ProgressUnit | null;
}

/** What the worker says. */
export type Report =
  | { kind: 'progress'; advance: Advance }
  /** The work is done; a capture is when it has been released. */
  | { kind: 'done'; result: UnpackResult | null }
  | { kind: 'failed'; error: SentError };

/** An error between processes. */
export interface SentError {
  code: string;
  message: string;
  subject: ErrorSubject;
}

export function sendableError(reason: unknown): SentError {
  const { code, message, subject } = ImageUnpackerError.from(reason, 'Something unforeseen happened');
  return { code, message, subject };
}

export function receivedError({ code, message, subject }: SentError): ImageUnpackerError {
  return new ImageUnpackerError(ERROR_CODES.find(each => each === code) ?? 'INTERNAL', message, subject);
}
