import { ImageUnpackerError, cancelled } from '../../image/error.js';
import type { ErrorCode } from '../../image/error.js';

/** What the SDK throws, as far as it matters here. */
interface SdkError {
  name?: string;
  code?: string;
  message?: string;
  $metadata?: { httpStatusCode?: number; attempts?: number };
}

/** A condition of a write did not hold: somebody else was quicker. */
export function isConditionFailure(reason: unknown): boolean {
  const { name, $metadata } = reason as SdkError;
  return (
    name === 'PreconditionFailed' ||
    name === 'ConditionalRequestConflict' ||
    $metadata?.httpStatusCode === 412
  );
}

/** The SDK has made the request more than once. */
export function wasRepeated(reason: unknown): boolean {
  return ((reason as SdkError).$metadata?.attempts ?? 1) > 1;
}

/** There is no such key. */
export function isMissing(reason: unknown): boolean {
  const { name, $metadata } = reason as SdkError;
  return (
    name === 'NoSuchKey' ||
    name === 'NotFound' ||
    (name !== 'NoSuchBucket' && $metadata?.httpStatusCode === 404)
  );
}

/** The caller may not do that. */
export function isRefusal(reason: unknown): boolean {
  return reason instanceof ImageUnpackerError
    ? reason.code === 'NO_PERMISSION'
    : (reason as SdkError).$metadata?.httpStatusCode === 403;
}

const CODES: Readonly<Record<string, { code: ErrorCode; advice: string }>> = {
  NoSuchBucket: { code: 'STORE_MISSING', advice: 'there is no such bucket; make it first' },
  CredentialsProviderError: {
    code: 'NO_PERMISSION',
    advice: 'there are no credentials; set AWS_PROFILE or what else the AWS SDK takes them from',
  },
  ExpiredToken: { code: 'NO_PERMISSION', advice: 'the credentials have expired; renew them' },
  TimeoutError: { code: 'TIMEOUT', advice: 'it does not answer; check the network, and run this again' },
  ECONNREFUSED: {
    code: 'STORE_BUSY',
    advice: 'nothing answers there; check AWS_ENDPOINT_URL and the network',
  },
  ENOTFOUND: { code: 'STORE_BUSY', advice: 'its address is not known; check AWS_REGION and the network' },
  SlowDown: { code: 'STORE_BUSY', advice: 'it asks for fewer requests; run this again' },
};

/** Turns what the SDK threw into an error of ours. */
export function s3Failure(reason: unknown, doing: string, location: string): ImageUnpackerError {
  if (reason instanceof ImageUnpackerError) return reason;
  const error = reason as SdkError;
  if (error.name === 'AbortError') return cancelled();
  const known = CODES[error.name ?? ''] ?? CODES[error.code ?? ''];
  const what = `Cannot ${doing} the store ${location}: ${error.message ?? error.name ?? String(reason)}`;
  if (known !== undefined) {
    return new ImageUnpackerError(known.code, `${what}; ${known.advice}`, { path: location }, reason);
  }
  if (error.message?.startsWith('Region is missing') === true) {
    const message = `It is not said in which region the store ${location} is; set AWS_REGION or a profile that says so`;
    return new ImageUnpackerError('CONFIGURATION', message, { path: location }, reason);
  }
  const status = error.$metadata?.httpStatusCode;
  if (status === 403 || status === 401) {
    const message = `${what}; the credentials do not allow it (docs/operations.md says what they must)`;
    return new ImageUnpackerError('NO_PERMISSION', message, { path: location }, reason);
  }
  if (status !== undefined && status >= 500) {
    return new ImageUnpackerError('STORE_BUSY', `${what}; run this again`, { path: location }, reason);
  }
  return ImageUnpackerError.from(reason, `Cannot ${doing} the store ${location}`, { path: location });
}
