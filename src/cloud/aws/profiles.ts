import { createRequire } from 'node:module';
import { ImageUnpackerError } from '../../image/error.js';
import type { AccountAccess } from './access.js';

/** A profile as the SDK's files have it: keys and values. */
type Profile = Readonly<Record<string, string | undefined>>;

/** What the SDK's files say, by the names of profiles. */
export interface SharedFiles {
  readonly configFile: Readonly<Record<string, Profile | undefined>>;
  readonly credentialsFile: Readonly<Record<string, Profile | undefined>>;
}

/** An account that is known by a name. */
export interface NamedAccount {
  readonly name: string;
  readonly access: AccountAccess;
  /** Where it is asked first. */
  readonly region: string | undefined;
}

/** What the SDK's files say, read by the SDK's own rules and from where the environment says. Throws `CONFIGURATION`. */
export async function readSharedFiles(): Promise<SharedFiles> {
  // The reader is of a package that the SDK has for itself; it is found from where the SDK is.
  const require = createRequire(import.meta.url);
  let load: () => Promise<SharedFiles>;
  try {
    const sdk = createRequire(require.resolve('@aws-sdk/credential-providers'));
    load = (sdk('@smithy/core/config') as { loadSharedConfigFiles: typeof load }).loadSharedConfigFiles;
  } catch (reason) {
    const message =
      "The AWS SDK, which publishing to AWS takes, is not installed: run 'npm ci' without --omit=optional";
    throw new ImageUnpackerError('UNSUPPORTED', message, {}, reason);
  }
  try {
    return await load();
  } catch (reason) {
    const why = reason instanceof Error ? reason.message : String(reason);
    throw new ImageUnpackerError('CONFIGURATION', `Cannot read the profiles of AWS: ${why}`, {}, reason);
  }
}

/**
 * The accounts that profiles give credentials for, by name: those with a key of their own, a role, SSO or a process.
 * Of several profiles with the same credentials the first counts; `default` does not, being another's name mostly.
 */
export function namedAccounts({ configFile, credentialsFile }: SharedFiles): NamedAccount[] {
  const names = [...new Set([...Object.keys(credentialsFile), ...Object.keys(configFile)])].sort();
  const seen = new Set<string>();
  return names.flatMap(name => {
    const profile = { ...configFile[name], ...credentialsFile[name] };
    const identity = identityOf(profile);
    // A dot divides the kind of a section that is no profile from its name: sso-session.NAME.
    if (name === 'default' || /^(sso-session|services)\./.test(name)) return [];
    if (identity === undefined || seen.has(identity)) return [];
    seen.add(identity);
    return [{ name, access: { accountId: accountOf(profile), profile: name }, region: profile['region'] }];
  });
}

/** Whose credentials a profile gives; undefined when it gives none. */
function identityOf(profile: Profile): string | undefined {
  const { role_arn: role, aws_access_key_id: key, credential_process: process } = profile;
  const { sso_account_id: account, sso_role_name: ssoRole } = profile;
  if (role !== undefined) return `role ${role}`;
  if (key !== undefined) return `key ${key}`;
  if (account !== undefined && ssoRole !== undefined) return `sso ${account} ${ssoRole}`;
  return process === undefined ? undefined : `process ${process}`;
}

function accountOf({ role_arn: role, sso_account_id: account }: Profile): string | undefined {
  const id = role === undefined ? account : role.split(':')[4];
  return id !== undefined && /^\d{12}$/.test(id) ? id : undefined;
}
