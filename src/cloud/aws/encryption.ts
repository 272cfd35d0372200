import type { Snapshot } from '@aws-sdk/client-ec2';
import { ImageUnpackerError } from '../../image/error.js';
import { isMissing } from './fault.js';
import type { AwsSession, CallOptions } from './session.js';
import type { AwsImageSettings } from './settings.js';

/** The key that the disks of a target are encrypted with. */
export interface EncryptionKey {
  /** Undefined when it is the account's default and has not been used yet: then AWS makes it. */
  readonly arn: string | undefined;
  readonly isDefault: boolean;
}

/**
 * Finds the key that is wanted. Throws `CONFIGURATION` for one that is not there or not usable, and for one that
 * cannot be shared when images shall be: before anything is made.
 */
export async function findKey(
  session: AwsSession,
  { kmsKey, sharedWith }: AwsImageSettings,
  target: string,
  options: CallOptions,
): Promise<EncryptionKey> {
  const isDefault = kmsKey === 'default';
  const name = isDefault ? await defaultKey(session, options) : kmsKey;
  const key = await describe(session, name, options);
  if (key === undefined && !isDefault) throw wrong(target, `There is no key ${kmsKey} in ${target}`);
  if (key?.KeyState !== undefined && key.KeyState !== 'Enabled') {
    throw wrong(target, `The key ${name} in ${target} is ${key.KeyState}; enable it`);
  }
  const isOfAws = key === undefined || key.KeyManager === 'AWS';
  if (sharedWith !== undefined && isOfAws) {
    const message = `Images of ${target} shall be shared, but the key ${name} is AWS's own, which cannot be; give a kmsKey`;
    throw wrong(target, message);
  }
  return { arn: key?.Arn, isDefault };
}

async function defaultKey(session: AwsSession, options: CallOptions): Promise<string> {
  const { KmsKeyId } = await session.call('GetEbsDefaultKmsKeyId', {}, options);
  return KmsKeyId ?? 'alias/aws/ebs';
}

async function describe(session: AwsSession, KeyId: string, options: CallOptions) {
  try {
    return (await session.call('DescribeKey', { KeyId }, options)).KeyMetadata;
  } catch (reason) {
    if (isMissing(reason)) return undefined;
    throw reason;
  }
}

/** Whether a snapshot is encrypted as it shall be. */
export function isEncryptedWith({ Encrypted, KmsKeyId }: Snapshot, { arn }: EncryptionKey): boolean {
  return Encrypted === true && (arn === undefined || KmsKeyId === arn);
}

function wrong(target: string, message: string): ImageUnpackerError {
  return new ImageUnpackerError('CONFIGURATION', message, { target });
}
