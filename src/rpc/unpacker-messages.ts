import { ImageUnpackerError } from '../image/error.js';
import type { ProgressUnit } from '../image/progress.js';
import type * as Wire from './gen/image_unpacker/v1/unpacker.js';
import type {
  DeviceStatus,
  StreamState,
  StreamStatus,
  UnpackerProgress,
  UnpackerStatus,
  UnpackResult,
} from './unpacker.js';

/*
 * What an unpacker takes and gives, and the messages that say it. What comes in is checked as far as the types
 * promise more than the messages do.
 */

const UNITS: readonly ProgressUnit[] = ['bytes', 'entries', 'files'];
const STATES: readonly StreamState[] = ['absent', 'empty', 'clean', 'doubtful', 'busy'];

function count(value: bigint): number {
  const number = Number(value);
  if (Number.isSafeInteger(number)) return number;
  throw new ImageUnpackerError('INTERNAL', `The agent answered with the impossible number ${String(value)}`);
}

const countOrNull = (value: bigint | undefined): number | null => (value === undefined ? null : count(value));

export function encodeProgress({ stream, step, done, total, unit }: UnpackerProgress): Wire.Progress {
  return {
    stream,
    step,
    done: BigInt(Math.round(done)),
    total: total === null ? undefined : BigInt(Math.round(total)),
    unit: unit ?? undefined,
  };
}

export function decodeProgress({ stream, step, done, total, unit }: Wire.Progress): UnpackerProgress {
  const known = UNITS.find(each => each === unit) ?? null;
  return { stream, step, done: count(done), total: countOrNull(total), unit: known };
}

export function encodeResult(result: UnpackResult): Wire.UnpackResult {
  const { added, removed, changed, unchanged } = result.entries;
  return {
    image: result.image,
    digest: result.digest,
    from: result.from ?? undefined,
    scan: result.scan,
    entries: {
      added: BigInt(added),
      removed: BigInt(removed),
      changed: BigInt(changed),
      unchanged: BigInt(unchanged),
    },
    bytesFetched: BigInt(result.bytesFetched),
    bytesWritten: BigInt(result.bytesWritten),
    blocksWritten: result.blocksWritten === null ? undefined : BigInt(result.blocksWritten),
    generated: [...result.generated],
    boot: result.boot === null ? undefined : { ...result.boot, kernels: [...result.boot.kernels] },
    warnings: [...result.warnings],
    scrubbed: result.scrubbed,
    seconds: { ...result.seconds },
  };
}

export function decodeResult(result: Wire.UnpackResult): UnpackResult {
  const { entries } = result;
  return {
    image: result.image,
    digest: result.digest,
    from: result.from ?? null,
    scan: result.scan,
    entries: {
      added: count(entries?.added ?? 0n),
      removed: count(entries?.removed ?? 0n),
      changed: count(entries?.changed ?? 0n),
      unchanged: count(entries?.unchanged ?? 0n),
    },
    bytesFetched: count(result.bytesFetched),
    bytesWritten: count(result.bytesWritten),
    blocksWritten: countOrNull(result.blocksWritten),
    generated: result.generated,
    boot: result.boot ?? null,
    warnings: result.warnings,
    scrubbed: result.scrubbed,
    seconds: result.seconds,
  };
}

export function encodeStream(status: StreamStatus): Wire.Stream {
  return {
    stream: status.stream,
    state: status.state,
    device: status.device,
    image: status.image ?? undefined,
    digest: status.digest ?? undefined,
    size: status.size === null ? undefined : BigInt(status.size),
    progress: status.progress === null ? undefined : encodeProgress(status.progress),
    error: status.error ?? undefined,
    lastUsed: status.lastUsed ?? undefined,
  };
}

export function decodeStream(status: Wire.Stream): StreamStatus {
  const state = STATES.find(each => each === status.state);
  if (state === undefined) {
    const message = `The agent answered with the unknown state "${status.state}"; it may be of a later version`;
    throw new ImageUnpackerError('UNSUPPORTED', message);
  }
  return {
    stream: status.stream,
    state,
    device: status.device,
    image: status.image ?? null,
    digest: status.digest ?? null,
    size: countOrNull(status.size),
    progress: status.progress === undefined ? null : decodeProgress(status.progress),
    error: status.error ?? null,
    lastUsed: status.lastUsed ?? null,
  };
}

export function encodeStatus(status: UnpackerStatus): Wire.GetStatusResponse {
  const { version, startedAt, lastUsed, streams } = status;
  return { version, startedAt, lastUsed: lastUsed ?? undefined, streams: streams.map(encodeStream) };
}

export function decodeStatus(status: Wire.GetStatusResponse): UnpackerStatus {
  const { version, startedAt, lastUsed, streams } = status;
  return { version, startedAt, lastUsed: lastUsed ?? null, streams: streams.map(decodeStream) };
}

export function encodeDevice({ id, path, size, stream, unusable }: DeviceStatus): Wire.Device {
  return { id, path, size: BigInt(size), stream: stream ?? undefined, unusable: unusable ?? undefined };
}

export function decodeDevice({ id, path, size, stream, unusable }: Wire.Device): DeviceStatus {
  return { id, path, size: count(size), stream: stream ?? null, unusable: unusable ?? null };
}
