import type { ErrorCode, ErrorSubject } from '../../image/error.js';
import { ImageUnpackerError } from '../../image/error.js';
import type { CallName } from './calls.js';

/**
 * What a failed call means to its caller: too many calls; a failure that passes; something that is not there or not
 * there yet; a request that is refused for as long as nothing changes.
 */
export type FaultKind = 'throttled' | 'transient' | 'missing' | 'denied' | 'quota' | 'refused';

/** What is known of a failed call, whatever service answered. */
export interface CallFault {
  readonly kind: FaultKind;
  /** The code of the error, as the service gave it: `InvalidSnapshot.NotFound`. */
  readonly name: string;
  /** A further code of EBS: `SNAPSHOT_NOT_FOUND`. */
  readonly reason: string | undefined;
  readonly message: string;
}

/** An error as the SDK throws it. */
interface SdkError {
  name?: unknown;
  message?: unknown;
  code?: unknown;
  Reason?: unknown;
  $metadata?: { httpStatusCode?: number };
}

const THROTTLED =
  /^(RequestLimitExceeded|RequestThrottled(Exception)?|Throttl|TooManyRequests|SlowDown|SnapshotCreationPerVolumeRateExceeded)/;
const QUOTA =
  /^(ServiceQuotaExceededException|ConcurrentLimitExceededException|.*LimitExceeded(Exception)?)$/;
/** One fact has many spellings: what is not there (aws-sdk errors of EC2, EBS direct, SSM). */
const MISSING = /(NotFound(Exception)?|\.Unavailable|^ResourceNotFoundException)$/;
const DENIED =
  /^(UnauthorizedOperation|AccessDenied(Exception)?|AuthFailure|UnrecognizedClientException|InvalidClientTokenId|ExpiredToken(Exception)?|OptInRequired|SignatureDoesNotMatch|CredentialsProviderError|NotAuthorized)/;
/** Errors of the connection, by the names that Node and the SDK give them. */
const CONNECTION =
  /^(ECONN|EPIPE|ETIMEDOUT|EAI_AGAIN|ENETUNREACH|EHOSTUNREACH|ENOTFOUND|TimeoutError|UND_ERR)/;

/** What a failed call means. Codes are looked at by family, never one literal alone. */
export function faultOf(reason: unknown, call: CallName): CallFault {
  const error = (typeof reason === 'object' && reason !== null ? reason : {}) as SdkError;
  const name = textOf(error.name) ?? 'Error';
  const message = textOf(error.message) ?? String(reason);
  const extra = textOf(error.Reason);
  return { kind: kindOf(error, name, extra, call), name, reason: extra, message };
}

function kindOf(error: SdkError, name: string, reason: string | undefined, call: CallName): FaultKind {
  const status = error.$metadata?.httpStatusCode;
  if (THROTTLED.test(name) || reason?.includes('THROTTLE') === true) return 'throttled';
  // What a block held on its way is not what its checksum says: EBS answers as if the signature were wrong.
  if (call === 'PutSnapshotBlock' && name === 'InvalidSignatureException') return 'transient';
  if (QUOTA.test(name)) return 'quota';
  if (MISSING.test(name)) return 'missing';
  if (DENIED.test(name) || status === 401 || status === 403) return 'denied';
  if (status !== undefined && status >= 500) return 'transient';
  if (CONNECTION.test(textOf(error.code) ?? '') || CONNECTION.test(name)) return 'transient';
  return 'refused';
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

const CODES: Readonly<Record<FaultKind, ErrorCode>> = {
  throttled: 'CLOUD_BUSY',
  transient: 'CLOUD_FAILED',
  missing: 'CLOUD_FAILED',
  denied: 'NO_PERMISSION',
  quota: 'QUOTA_EXCEEDED',
  refused: 'CLOUD_FAILED',
};

const REMEDIES: Readonly<Record<FaultKind, string>> = {
  throttled: 'others call it too often; run it again later',
  transient: 'run it again, or go on with resume',
  missing: '',
  denied: "see whose credentials these are, and compare what they may do with 'ami-publisher iam-policy'",
  quota: 'ask for a higher quota, or remove what is not needed',
  refused: '',
};

/** What AWS says of credentials that are not valid, and as well in a region that the account has not enabled. */
const UNKNOWN_THERE = /^(AuthFailure|UnrecognizedClientException|InvalidClientTokenId|OptInRequired)$/;

function remedyOf({ kind, name }: CallFault): string {
  if (name === 'CredentialsProviderError')
    return 'set AWS_PROFILE or the like to credentials that are there, or log in';
  if (UNKNOWN_THERE.test(name))
    return 'see whose credentials these are: they are not valid there, or the region is not enabled for the account';
  return REMEDIES[kind];
}

/** A failed call of AWS. */
export class AwsError extends ImageUnpackerError {
  readonly fault: CallFault;

  constructor(call: CallName, place: string, fault: CallFault, subject: ErrorSubject, cause: unknown) {
    const remedy = remedyOf(fault);
    const what = fault.message === fault.name ? fault.name : `${fault.name}: ${fault.message}`;
    super(
      CODES[fault.kind],
      `${call} failed in ${place}: ${what}${remedy === '' ? '' : `; ${remedy}`}`,
      subject,
      cause,
    );
    this.fault = fault;
  }
}

/** Whether `reason` is a call of AWS that failed because something is not there. */
export function isMissing(reason: unknown): boolean {
  return reason instanceof AwsError && reason.fault.kind === 'missing';
}

/** Whether `reason` is a call of AWS that was answered with this code. */
export function isAnswer(reason: unknown, code: RegExp): reason is AwsError {
  return reason instanceof AwsError && (code.test(reason.fault.name) || code.test(reason.fault.reason ?? ''));
}
