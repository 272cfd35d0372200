/** Who else may start machines of an image. */
export interface SharedWith {
  readonly accounts: readonly string[];
  /** ARNs of organisations and of organisational units. */
  readonly organisations: readonly string[];
  readonly units: readonly string[];
}

/** How images are made in a target. */
export interface AwsImageSettings {
  /** `default` (that of the account and region), or the id, ARN or alias of a key. */
  readonly kmsKey: string;
  /** Of images that say nothing of themselves. */
  readonly architecture: 'x86_64' | 'arm64';
  readonly bootMode: 'uefi' | 'legacy-bios' | 'uefi-preferred';
  /** GiB that machines get at least for their root. */
  readonly rootSize?: number | undefined;
  /** Of gp3: I/O operations a second, and MiB a second. */
  readonly iops?: number | undefined;
  readonly throughput?: number | undefined;
  /** Whether machines answer requests for metadata without a token. */
  readonly imds: 'v2' | 'optional';
  readonly tpm: boolean;
  readonly sharedWith?: SharedWith | undefined;
  /** SSM parameters below this path tell the images of each stream: `/images` → `/images/STREAM/latest`. */
  readonly parameters?: string | undefined;
  /** Seconds after which an image is no longer offered to others. */
  readonly deprecateAfter?: number | undefined;
}

/** What holds where nothing else is said. */
export const USUAL_SETTINGS: AwsImageSettings = {
  kmsKey: 'default',
  architecture: 'x86_64',
  bootMode: 'uefi-preferred',
  imds: 'v2',
  tpm: false,
};
