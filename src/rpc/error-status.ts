import type { ServiceError } from '@grpc/grpc-js';
import { Metadata, status } from '@grpc/grpc-js';
import type { ErrorCode, ErrorSubject } from '../image/error.js';
import { cancelled, ERROR_CODES, ImageUnpackerError } from '../image/error.js';

/*
 * How errors cross the wire: a status of gRPC, so that any client can tell what kind of failure it is, and
 * in the trailing metadata the error itself, as JSON: {"code", "message", "subject"}.
 */

const METADATA_KEY = 'image-unpacker-error-bin';
/** Peers take some kilobytes of metadata; what there is more to say is left out. */
const MAX_MESSAGE_LENGTH = 4096;
const MAX_DETAILS = 40;
const MAX_DETAIL_LENGTH = 200;

const STATUS: Readonly<Partial<Record<ErrorCode, status>>> = {
  USAGE: status.INVALID_ARGUMENT,
  IMAGE_NAME: status.INVALID_ARGUMENT,
  IMAGE_UNKNOWN: status.NOT_FOUND,
  CHANNEL_UNKNOWN: status.NOT_FOUND,
  VOLUME_UNKNOWN: status.NOT_FOUND,
  DEVICE_MISSING: status.NOT_FOUND,
  IMAGE_EXISTS: status.ALREADY_EXISTS,
  IMAGE_DELETED: status.ALREADY_EXISTS,
  IMAGE_CHANGED: status.ABORTED,
  CHANNEL_CHANGED: status.ABORTED,
  IMAGE_UNTRUSTED: status.PERMISSION_DENIED,
  NO_PERMISSION: status.PERMISSION_DENIED,
  NOT_ROOT: status.PERMISSION_DENIED,
  NO_SPACE: status.RESOURCE_EXHAUSTED,
  LIMIT_EXCEEDED: status.RESOURCE_EXHAUSTED,
  STATE_BUSY: status.UNAVAILABLE,
  STORE_BUSY: status.UNAVAILABLE,
  TARGET_BUSY: status.UNAVAILABLE,
  STORE_DAMAGED: status.DATA_LOSS,
  STATE_DAMAGED: status.DATA_LOSS,
  VOLUME_DAMAGED: status.DATA_LOSS,
  UNSUPPORTED: status.UNIMPLEMENTED,
  CANCELLED: status.CANCELLED,
  TIMEOUT: status.DEADLINE_EXCEEDED,
  INTERNAL: status.INTERNAL,
};

/** The status of a code that is not listed: it can be put right, and then the call made again. */
const OTHER_STATUS = status.FAILED_PRECONDITION;

/** What a call fails with. */
export interface Refusal {
  code: status;
  details: string;
  metadata: Metadata;
}

/** An error as a status. Its cause stays here. */
export function toStatus(error: ImageUnpackerError): Refusal {
  const { code, subject } = error;
  const message = error.message.slice(0, MAX_MESSAGE_LENGTH);
  const metadata = new Metadata();
  const whole = { code, message, subject: shorten(subject) };
  metadata.set(METADATA_KEY, Buffer.from(JSON.stringify(whole)));
  return { code: STATUS[code] ?? OTHER_STATUS, details: message, metadata };
}

function shorten(subject: ErrorSubject): ErrorSubject {
  const { details } = subject;
  if (details === undefined) return subject;
  const kept = details.slice(0, MAX_DETAILS).map(detail => detail.slice(0, MAX_DETAIL_LENGTH));
  const left = details.length - kept.length;
  return { ...subject, details: left === 0 ? kept : [...kept, `and ${String(left)} more`] };
}

/** The codes of statuses that say what happened by themselves. */
const CODES: Readonly<Partial<Record<status, ErrorCode>>> = {
  [status.DEADLINE_EXCEEDED]: 'TIMEOUT',
  [status.UNIMPLEMENTED]: 'UNSUPPORTED',
  [status.PERMISSION_DENIED]: 'NO_PERMISSION',
  [status.RESOURCE_EXHAUSTED]: 'LIMIT_EXCEEDED',
};

/** The error of a call that failed, as it was where it happened. `doing` says what the call was to do. */
export function fromStatus(failure: ServiceError, doing: string): ImageUnpackerError {
  const [bytes] = failure.metadata.get(METADATA_KEY);
  const sent = Buffer.isBuffer(bytes) ? decode(bytes) : undefined;
  if (sent !== undefined) return new ImageUnpackerError(sent.code, sent.message, sent.subject, failure);
  if (failure.code === status.CANCELLED) return cancelled();
  const code = CODES[failure.code] ?? 'INTERNAL';
  const what = code === 'TIMEOUT' ? 'it took longer than it may' : failure.details;
  return new ImageUnpackerError(code, `${doing}: ${what}`, {}, failure);
}

function decode(bytes: Buffer): { code: ErrorCode; message: string; subject: ErrorSubject } | undefined {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString());
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { code, message, subject } = value as Record<string, unknown>;
  if (typeof message !== 'string') return undefined;
  // A peer of a later version may know more codes.
  const known = ERROR_CODES.find(each => each === code) ?? 'INTERNAL';
  return { code: known, message, subject: subjectOf(subject) };
}

function subjectOf(value: unknown): ErrorSubject {
  if (typeof value !== 'object' || value === null) return {};
  const given = value as Record<string, unknown>;
  const subject: ErrorSubject = {};
  for (const name of ['image', 'path', 'device', 'target', 'digest'] as const) {
    const text = given[name];
    if (typeof text === 'string') subject[name] = text;
  }
  for (const name of ['needed', 'available'] as const) {
    const number = given[name];
    if (typeof number === 'number') subject[name] = number;
  }
  const { details } = given;
  if (Array.isArray(details)) subject.details = details.map(String);
  return subject;
}
