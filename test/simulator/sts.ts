import { ServiceFault } from './fault.js';
import type { Form } from './ec2.js';
import type { Xml } from './xml.js';

/** A role that can be taken on. */
export interface Role {
  readonly arn: string;
  readonly externalId?: string;
}

/** The access key that stands for an account; one that was got by a role begins with ASIA. */
export function accessKey(account: string, kind: 'AKIA' | 'ASIA' = 'AKIA'): string {
  return `${kind}0000${account}`;
}

export function accountOf(key: string): string | undefined {
  return /^A[KS]IA0000(\d{12})$/.exec(key)?.[1];
}

export function answerSts(account: string, form: Form, roles: readonly Role[], now: number): Xml {
  const action = form.get('Action');
  if (action === 'GetCallerIdentity') {
    return `<Arn>arn:aws:iam::${account}:user/test</Arn><UserId>AIDA</UserId><Account>${account}</Account>`;
  }
  const arn = form.get('RoleArn') ?? '';
  const role = roles.find(each => each.arn === arn);
  if (role === undefined || (role.externalId !== undefined && role.externalId !== form.get('ExternalId'))) {
    const message = `User is not authorized to perform: sts:AssumeRole on resource: ${arn}`;
    throw new ServiceFault(403, 'AccessDenied', message);
  }
  const owner = arn.split(':')[4]!;
  const expires = new Date(now + 3_600_000).toISOString();
  return (
    `<Credentials><AccessKeyId>${accessKey(owner, 'ASIA')}</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>` +
    `<SessionToken>token</SessionToken><Expiration>${expires}</Expiration></Credentials>` +
    `<AssumedRoleUser><Arn>${arn}/s</Arn><AssumedRoleId>AROA:s</AssumedRoleId></AssumedRoleUser>`
  );
}
