/** What an error is about; every field that is known is filled in. */
export interface ErrorSubject {
  /** An image name. */
  image?: string;
  /** A path, in a tree or on the machine, fit to show (see `displayPath`). */
  path?: string;
  device?: string;
  target?: string;
  /** A SHA-512 digest of an object, page or index, in hex. */
  digest?: string;
  /** How many inodes are in use, where they should be more or fewer. */
  inodes?: number;
  /** How many bytes would be enough. */
  needed?: number;
  /** How many bytes there are. */
  available?: number;
  /** Each thing that is wrong, when there are several. */
  details?: string[];
}

/** Every stable error code. A caller may switch on these; the text of a message may change. */
export const ERROR_CODES = [
  'USAGE',
  'CONFIGURATION',
  'IMAGE_NAME',
  'IMAGE_EXISTS',
  'IMAGE_UNKNOWN',
  'IMAGE_DELETED',
  'IMAGE_CHANGED',
  'IMAGE_IN_USE',
  'IMAGE_INVALID',
  'IMAGE_UNSUPPORTED',
  'IMAGE_UNTRUSTED',
  'EXPIRY_SOONER',
  'CONTENT_COLLISION',
  'CHANNEL_UNKNOWN',
  'CHANNEL_CHANGED',
  'LIMIT_EXCEEDED',
  'SOURCE_MISSING',
  'SOURCE_EMPTY',
  'SOURCE_DAMAGED',
  'SOURCE_UNSUPPORTED',
  'SOURCE_CHANGED',
  'STORE_MISSING',
  'STORE_DAMAGED',
  'STORE_BUSY',
  'DEVICE_MISSING',
  'DEVICE_NOT_BLOCK',
  'DEVICE_IN_USE',
  'DEVICE_SYSTEM',
  'DEVICE_READ_ONLY',
  'DEVICE_BLANK',
  'DEVICE_FOREIGN',
  'DEVICE_TOO_SMALL',
  'DEVICE_FAILED',
  'VOLUME_DIFFERENT',
  'VOLUME_DOUBTFUL',
  'VOLUME_UNKNOWN',
  'VOLUME_DAMAGED',
  'STATE_BUSY',
  'STATE_DAMAGED',
  'TARGET_BUSY',
  'CLOUD_BUSY',
  'CLOUD_FAILED',
  'QUOTA_EXCEEDED',
  'NO_SPACE',
  'NO_PERMISSION',
  'NOT_ROOT',
  'OUTPUT',
  'TOOL_MISSING',
  'TOOL_FAILED',
  'UNSUPPORTED',
  'CANCELLED',
  'TIMEOUT',
  'INTERNAL',
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

/**
 * The one error class of this project. `message` says what failed, on what, why, and what to do, and
 * is safe to show to a caller; `cause` stays local, for the log.
 */
export class ImageUnpackerError extends Error {
  readonly code: ErrorCode;
  readonly subject: ErrorSubject;

  constructor(code: ErrorCode, message: string, subject: ErrorSubject = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'ImageUnpackerError';
    this.code = code;
    this.subject = subject;
  }

  /** Turns whatever was caught into an error of ours, adding `doing` to what it was about. */
  static from(reason: unknown, doing: string, subject: ErrorSubject = {}): ImageUnpackerError {
    if (reason instanceof ImageUnpackerError) return reason;
    const error = reason instanceof Error ? (reason as NodeJS.ErrnoException) : undefined;
    const code = (error?.code !== undefined && SYSTEM_CODES[error.code]) || 'INTERNAL';
    const hint = (error?.code !== undefined && SYSTEM_HINTS[error.code]) || (HINTS[code] ?? '');
    return new ImageUnpackerError(
      code,
      `${doing}: ${error?.message ?? String(reason)}${hint}`,
      subject,
      reason,
    );
  }
}

/** Which code an error of the system stands for where nothing more is known of it. */
const SYSTEM_CODES: Readonly<Record<string, ErrorCode>> = {
  ENOSPC: 'NO_SPACE',
  EDQUOT: 'NO_SPACE',
  EACCES: 'NO_PERMISSION',
  EPERM: 'NO_PERMISSION',
  EROFS: 'NO_PERMISSION',
  EIO: 'DEVICE_FAILED',
  ENXIO: 'DEVICE_FAILED',
  ECANCELED: 'CANCELLED',
  ABORT_ERR: 'CANCELLED',
};

/** What to do about an error of the system, where its code does not say enough. */
const SYSTEM_HINTS: Readonly<Record<string, string>> = {
  EROFS: '; mount it for writing, or use another place',
};

const HINTS: Partial<Record<ErrorCode, string>> = {
  NO_SPACE: '; free some space and run it again',
  NO_PERMISSION: '; run it as a user who may',
};

/** Throws the `CANCELLED` error if `signal` has been aborted. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw cancelled();
}

/** The error of work that was stopped by its caller. */
export function cancelled(): ImageUnpackerError {
  return new ImageUnpackerError('CANCELLED', 'Interrupted: what was begun is safe to run again');
}
