import type { CloudTarget, PublishedImage } from '../cloud/cloud.js';
import { TAG } from '../cloud/cloud.js';
import { diskDigest } from '../image/disk-map.js';
import { ImageUnpackerError, throwIfAborted } from '../image/error.js';
import type { ImageRow, ResultsOptions } from './named-images.js';
import { forNamedImages } from './named-images.js';
import type { ReadRow } from './row.js';

/** Whether an image is as the results say. */
export interface VerifiedRow extends ImageRow {
  Verified: boolean;
  /** Whether all bytes of its disk were read. */
  ContentRead: boolean;
  DiskDigest?: string;
  /** What is not as it should be. */
  Problems: string[];
}

/** What is verified, and how thoroughly. */
export interface VerifyOptions extends ResultsOptions {
  /** Read all disks and compare their digests; else that is done only where a disk may have been written to. */
  readonly content?: boolean | undefined;
  readonly onProgress?: ((target: string, done: number, total: number) => void) | undefined;
}

/** Looks whether the images of some results are as the results say. Throws `CANCELLED`. */
export async function verify(options: VerifyOptions): Promise<VerifiedRow[]> {
  const rows = await forNamedImages(
    options,
    false,
    async (cloud, row, image, about): Promise<VerifiedRow> => {
      const { problems, read, digest } = await inspect(cloud, row, image, options);
      const found = digest === undefined ? {} : { DiskDigest: digest };
      return { ...about, Verified: problems.length === 0, ContentRead: read, ...found, Problems: problems };
    },
  );
  return rows.map(row =>
    'Verified' in row
      ? row
      : { ...row, Verified: false, ContentRead: false, Problems: row.Error === undefined ? [] : [row.Error] },
  );
}

async function inspect(
  cloud: CloudTarget,
  row: ReadRow,
  image: PublishedImage | undefined,
  { content = false, signal, onProgress }: VerifyOptions,
): Promise<{ problems: string[]; read: boolean; digest: string | undefined }> {
  if (image === undefined) return { problems: ['the image is gone'], read: false, digest: undefined };
  const problems = compare(row, image);
  const digest = image.tags[TAG.diskDigest];
  if (image.fault?.gone === true)
    return { problems: [...problems, image.fault.message], read: false, digest };
  problems.push(...((await cloud.inspect?.(image.id, { signal })) ?? []));
  // A disk that EBS copied from a volume has what was left in free space too, and so no digest.
  if ((!content || digest === undefined) && image.fault === undefined)
    return { problems, read: false, digest };
  try {
    const onRead = (done: number, total: number): void => onProgress?.(row.Target, done, total);
    const found = diskDigest(await cloud.readBack(image.id, { signal, onProgress: onRead })).toString('hex');
    const same = found === digest;
    if (!same) problems.push(`the disk has the digest ${found}, not ${digest ?? 'any that is known'}`);
    return { problems, read: true, digest: found };
  } catch (reason) {
    throwIfAborted(signal);
    problems.push(ImageUnpackerError.from(reason, 'its disk cannot be read').message);
    return { problems, read: true, digest: undefined };
  }
}

/** What the tags of an image say otherwise than the results. */
function compare(row: ReadRow, { tags, diskSize }: PublishedImage): string[] {
  const problems: string[] = [];
  const expect = (what: string, wanted: string | undefined, found: string | undefined): void => {
    if (wanted !== undefined && wanted !== found)
      problems.push(`${what} is ${found ?? 'missing'}, not ${wanted}`);
  };
  expect('the image digest', row.ImageDigest, tags[TAG.imageDigest]);
  expect('the disk digest', row.DiskDigest, tags[TAG.diskDigest]);
  expect('the size of the disk', row.DiskSize?.toString(), String(diskSize));
  return problems;
}
