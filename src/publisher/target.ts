import { resolve } from 'node:path';
import type { AccountAccess } from '../cloud/aws/access.js';
import type { AwsImageSettings } from '../cloud/aws/settings.js';
import type { DiskFormatName } from '../cloud/local/layout.js';

/** How an image gets to a target. */
export type StrategyName = 'local' | 'direct' | 'snapshot';

/** A directory of disk images. */
export interface LocalTarget {
  readonly kind: 'local';
  /** What it is called in results: `local:DIR`. */
  readonly name: string;
  /** By these two it is selected, as an account and a region of a cloud are. */
  readonly account: 'local';
  readonly region: string;
  readonly strategy: 'local';
  /** An absolute path. */
  readonly directory: string;
  readonly format: DiskFormatName;
}

/** One account and region of AWS. */
export interface AwsTarget {
  readonly kind: 'aws';
  /** `account name/region`. */
  readonly name: string;
  readonly account: string;
  readonly region: string;
  readonly strategy: 'direct' | 'snapshot';
  /** With the strategy `snapshot`: nothing of earlier images is left in free space of volumes, and so in snapshots. */
  readonly scrub?: boolean | undefined;
  readonly group?: string | undefined;
  readonly access: AccountAccess;
  /** Why it cannot be used, where that is known already. */
  readonly fault?: string | undefined;
  readonly settings: AwsImageSettings;
}

/** Where an image is published to. */
export type Target = LocalTarget | AwsTarget;

/** How the name of a local target begins. */
export const LOCAL = 'local:';

/** The target that a directory is. */
export function localTarget(directory: string, format: DiskFormatName = 'raw'): LocalTarget {
  const path = resolve(directory);
  return {
    kind: 'local',
    name: LOCAL + path,
    account: 'local',
    region: path,
    strategy: 'local',
    directory: path,
    format,
  };
}

/** The directory that the name of a local target says, if it is one. */
export function directoryOf(name: string): string | undefined {
  return name.startsWith(LOCAL) && name.length > LOCAL.length ? name.slice(LOCAL.length) : undefined;
}
