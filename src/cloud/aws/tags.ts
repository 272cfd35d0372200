import type { Tag } from '@aws-sdk/client-ec2';
import type { DiskBoot, Tags } from '../cloud.js';

/*
 * What we note on snapshots and images besides the tags that are asked for:
 *
 *   ManagedBy     image-unpacker: on all that is ours
 *   PublishToken  of a snapshot: the first 32 hex digits of the SHA-256 of what it is made under
 *   DiskFacts     pairs KEY=VALUE, separated by spaces:
 *                   size=BYTES  digest=HEX  at=RFC3339 (of an image)  boot=ARCHITECTURE,MODE,DEVICE  parent=SNAPSHOT,DIGEST
 *   Unfinished    of an image that is not yet as it shall be
 */

export const MANAGED_BY = { key: 'ManagedBy', value: 'image-unpacker' } as const;
export const PUBLISH_TOKEN = 'PublishToken';
export const DISK_FACTS = 'DiskFacts';
export const UNFINISHED = 'Unfinished';

/** How many tags of the 50 that a resource can have are not there for others. */
export const OWN_TAGS: ReadonlySet<string> = new Set([MANAGED_BY.key, PUBLISH_TOKEN, DISK_FACTS, UNFINISHED]);

/** What a disk tells of itself. */
export interface DiskFacts {
  readonly size: bigint;
  /** When its image was registered, RFC 3339; a snapshot has none, so that it is asked for twice in the same words. */
  readonly at: string | undefined;
  /** SHA-256 of the disk's map, hex. */
  readonly digest: string;
  readonly boot: DiskBoot | undefined;
  /** What it was made from. */
  readonly parent: { readonly snapshotId: string; readonly digest: string } | undefined;
}

/** The tag of the facts. */
export function encodeFacts({ size, at, digest, boot, parent }: DiskFacts): string {
  const pairs = [`size=${String(size)}`, `digest=${digest}`];
  if (at !== undefined) pairs.push(`at=${at}`);
  if (boot !== undefined) pairs.push(`boot=${boot.architecture},${boot.bootMode},${boot.rootDevice}`);
  if (parent !== undefined) pairs.push(`parent=${parent.snapshotId},${parent.digest}`);
  return pairs.join(' ');
}

/** What the tag says; undefined when there is none or it was changed by others. */
export function decodeFacts(text: string | undefined): DiskFacts | undefined {
  const pairs = new Map(
    (text ?? '').split(' ').map(pair => {
      const at = pair.indexOf('=');
      return [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
  const [size, at, digest] = ['size', 'at', 'digest'].map(key => pairs.get(key));
  if (size === undefined || !/^\d{1,16}$/.test(size) || !/^[0-9a-f]{64}$/.test(digest ?? ''))
    return undefined;
  if (at !== undefined && Number.isNaN(Date.parse(at))) return undefined;
  const [architecture, bootMode, rootDevice] = pairs.get('boot')?.split(',') ?? [];
  const [snapshotId, parentDigest] = pairs.get('parent')?.split(',') ?? [];
  return {
    size: BigInt(size),
    at,
    digest: digest!,
    boot:
      architecture === undefined || bootMode === undefined || rootDevice === undefined
        ? undefined
        : { architecture, bootMode, rootDevice },
    parent:
      snapshotId === undefined || parentDigest === undefined
        ? undefined
        : { snapshotId, digest: parentDigest },
  };
}

/** Tags as the SDK has them. */
export function toTagList(tags: Tags): { Key: string; Value: string }[] {
  return Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
}

/** Tags by key. */
export function fromTagList(list: readonly Tag[] | undefined): Record<string, string> {
  return Object.fromEntries((list ?? []).map(({ Key = '', Value = '' }) => [Key, Value]));
}

/** The tags that are there for others. */
export function visibleTags(tags: Tags): Record<string, string> {
  return Object.fromEntries(Object.entries(tags).filter(([key]) => !OWN_TAGS.has(key)));
}
