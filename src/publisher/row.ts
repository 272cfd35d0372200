import { readFile } from 'node:fs/promises';
import * as v from 'valibot';
import type { PublishedImage } from '../cloud/cloud.js';
import { TAG } from '../cloud/cloud.js';
import { ImageUnpackerError } from '../image/error.js';
import type { StrategyName, Target } from './target.js';

/*
 * Results are rows, one for each target, with the keys of the reference system and ours. They are what the
 * commands that come after publishing read.
 */

/** What every row says: which target, and what went wrong there, if anything did. */
export interface TargetRow {
  Target: string;
  AccountName: string;
  AccountId?: string;
  Region: string;
  Error?: string;
  ErrorCode?: string;
}

/** What became of a target. */
export interface ResultRow extends TargetRow {
  SnapshotId?: string;
  AmiId?: string;
  /** Of the disk, in GiB, rounded up. */
  Size?: number;
  SharedFrom?: string;
  Strategy: StrategyName;
  ImageName: string;
  ImageDigest: string;
  DiskDigest?: string;
  /** Bytes. */
  DiskSize?: number;
  ParentSnapshotId?: string;
  /**
   * Blocks of 512 KiB that differ from the parent's: those that were written to on the volume, and those that hold
   * space which was freed and so is zeros now. Without a parent, all that are in use.
   */
  BlocksSent: number;
  /** Blocks of 512 KiB of the volume that were written to by unpacking it now, where the kernel tells. */
  BlocksWritten?: number;
  /** What a machine is told of the disk to boot from it, if it boots. */
  Architecture?: string;
  BootMode?: string;
  RootDeviceName?: string;
  /** The file of the disk, where disks are files. */
  Path?: string;
  ExpiresAt?: string;
  Stages: Record<string, number>;
  /** The run that published it. */
  Run?: string;
  AlreadyPublished: boolean;
}

const GIB = 2n ** 30n;

/** What a row says of its target. */
export function rowOf(target: Target): TargetRow {
  const accountId = target.kind === 'aws' ? target.access.accountId : undefined;
  return {
    Target: target.name,
    AccountName: target.account,
    ...(accountId === undefined ? {} : { AccountId: accountId }),
    Region: target.region,
  };
}

/** What a row says of an image. */
export function imageColumns(image: PublishedImage): Partial<ResultRow> {
  const { id, diskId, diskSize, path, tags, boot } = image;
  const [digest, run, expiresAt] = [tags[TAG.diskDigest], tags[TAG.run], tags[TAG.expiresAt]];
  return {
    SnapshotId: diskId,
    AmiId: id,
    Size: Number((diskSize + GIB - 1n) / GIB),
    ...(digest === undefined ? {} : { DiskDigest: digest }),
    DiskSize: Number(diskSize),
    ...(boot === undefined
      ? {}
      : { Architecture: boot.architecture, BootMode: boot.bootMode, RootDeviceName: boot.rootDevice }),
    ...(path === undefined ? {} : { Path: path }),
    ...(expiresAt === undefined ? {} : { ExpiresAt: expiresAt }),
    ...(run === undefined ? {} : { Run: run }),
  };
}

/** What a row says of an error. */
export function errorColumns(reason: unknown, doing: string): { Error: string; ErrorCode: string } {
  const { message, code } = ImageUnpackerError.from(reason, doing);
  return { Error: message, ErrorCode: code };
}

/** What is needed of a row that was read: rows may have keys that are not known here. */
const rowSchema = v.object({
  Target: v.string(),
  AmiId: v.optional(v.string()),
  SnapshotId: v.optional(v.string()),
  ImageName: v.optional(v.string()),
  ImageDigest: v.optional(v.string()),
  DiskDigest: v.optional(v.string()),
  DiskSize: v.optional(v.number()),
  Error: v.optional(v.string()),
});

/** A row that was read from a file of results. */
export type ReadRow = v.InferOutput<typeof rowSchema>;

/** The rows of some files of results that name an image. Throws `USAGE` for what is no file of results. */
export async function readResults(files: readonly string[]): Promise<ReadRow[]> {
  const rows: ReadRow[] = [];
  for (const file of files) {
    let content: unknown;
    try {
      content = JSON.parse(await readFile(file, 'utf8'));
    } catch (reason) {
      const why = reason instanceof Error ? reason.message : String(reason);
      throw new ImageUnpackerError(
        'USAGE',
        `Cannot read the results in ${file}: ${why}`,
        { path: file },
        reason,
      );
    }
    const result = v.safeParse(v.array(rowSchema), content);
    if (!result.success) {
      const where = v.getDotPath(result.issues[0]) ?? 'all of it';
      const message = `${file} holds no results of 'publish --json': ${where}: ${result.issues[0].message}`;
      throw new ImageUnpackerError('USAGE', message, { path: file });
    }
    rows.push(...result.output.filter(({ AmiId }) => AmiId !== undefined));
  }
  return rows;
}
