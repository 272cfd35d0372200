import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { ImageUnpackerError } from '../../image/error.js';
import { inParallel } from '../../image/in-parallel.js';
import type { Bucket } from './bucket.js';

/** What is larger is stored in parts, which travel at once and need not travel again after an interruption. */
export const SINGLE_BYTES = 16 << 20;
const PART_BYTES = 8 << 20;
/** S3 takes no more; so a large object has larger parts. */
const MAX_PARTS = 10_000;
/** So many parts are in memory. */
const PARTS_AT_ONCE = 3;

interface Part {
  number: number;
  start: number;
  length: number;
}

/**
 * Stores a file, which has this digest and size, under a key. Parts that an interrupted upload has stored are not sent
 * again: their MD5 is compared. Nothing can be seen before all of it is there; when the file is another one than was said,
 * nothing is stored. Throws `STORE_DAMAGED` then.
 */
export async function putFile(
  bucket: Bucket,
  key: string,
  path: string,
  { digest, size }: { digest: Buffer; size: number },
): Promise<void> {
  const file = await open(path);
  try {
    await sendFile(bucket, key, file, { path, digest, size });
  } catch (reason) {
    if (reason instanceof ImageUnpackerError && reason.code === 'STORE_DAMAGED') throw reason;
    // Somebody else, who stores the same, has completed the same upload: then it takes no more parts.
    if ((await bucket.head(key))?.size !== size) throw reason;
  } finally {
    await file.close();
  }
}

async function sendFile(
  bucket: Bucket,
  key: string,
  file: FileHandle,
  { path, digest, size }: { path: string; digest: Buffer; size: number },
): Promise<void> {
  const upload = (await pendingUpload(bucket, key)) ?? (await beginUpload(bucket, key));
  const there = await partsThere(bucket, key, upload);
  const hash = createHash('sha512');
  // Parts are read, and hashed, in their order, and sent in any.
  let reading: Promise<unknown> = Promise.resolve();
  const sent = await inParallel(partsOf(size), PARTS_AT_ONCE, async part => {
    const read = reading.then(() => readPart(file, part));
    reading = read.then(bytes => hash.update(bytes));
    const bytes = await read;
    const md5 = `"${createHash('md5').update(bytes).digest('hex')}"`;
    const known = there.get(part.number);
    const isThere = known?.etag === md5 && known.size === part.length;
    return {
      PartNumber: part.number,
      ETag: isThere ? md5 : await sendPart(bucket, key, upload, part, bytes),
    };
  });
  await reading;
  const asked = { ...bucket.at(key), UploadId: upload };
  if (!hash.digest().equals(digest)) {
    await bucket.ask('write to', options =>
      bucket.client.send(new AbortMultipartUploadCommand(asked), options),
    );
    throw new ImageUnpackerError('STORE_DAMAGED', `${path} has changed on its way to ${bucket.location}`);
  }
  const whole = { ...asked, MultipartUpload: { Parts: sent } };
  await bucket.ask('write to', options =>
    bucket.client.send(new CompleteMultipartUploadCommand(whole), options),
  );
}

function partsOf(size: number): Part[] {
  const length = Math.max(PART_BYTES, Math.ceil(size / MAX_PARTS));
  return Array.from({ length: Math.ceil(size / length) }, (_, at) => ({
    number: at + 1,
    start: at * length,
    length: Math.min(length, size - at * length),
  }));
}

async function readPart(file: FileHandle, { start, length }: Part): Promise<Buffer> {
  const bytes = Buffer.allocUnsafeSlow(length);
  for (let at = 0; at < length;) {
    const { bytesRead } = await file.read(bytes, at, length - at, start + at);
    if (bytesRead === 0) return bytes.subarray(0, at);
    at += bytesRead;
  }
  return bytes;
}

async function sendPart(
  bucket: Bucket,
  key: string,
  upload: string,
  part: Part,
  bytes: Buffer,
): Promise<string> {
  const asked = { ...bucket.at(key), UploadId: upload, PartNumber: part.number, Body: bytes };
  const { ETag } = await bucket.ask('write to', options =>
    bucket.client.send(new UploadPartCommand(asked), options),
  );
  return ETag ?? '';
}

async function beginUpload(bucket: Bucket, key: string): Promise<string> {
  const { UploadId } = await bucket.ask('write to', options =>
    bucket.client.send(new CreateMultipartUploadCommand(bucket.at(key)), options),
  );
  return UploadId!;
}

/** An upload of the same object that was interrupted; who may not look for one begins anew. */
async function pendingUpload(bucket: Bucket, key: string): Promise<string | undefined> {
  const { Bucket: name, Key } = bucket.at(key);
  try {
    const { Uploads: uploads = [] } = await bucket.ask('list', options =>
      bucket.client.send(new ListMultipartUploadsCommand({ Bucket: name, Prefix: Key }), options),
    );
    return uploads.filter(upload => upload.Key === Key).at(-1)?.UploadId;
  } catch (reason) {
    if (reason instanceof ImageUnpackerError && reason.code === 'NO_PERMISSION') return undefined;
    throw reason;
  }
}

async function partsThere(bucket: Bucket, key: string, upload: string) {
  const there = new Map<number, { etag: string; size: number }>();
  let marker: string | undefined;
  do {
    const asked = { ...bucket.at(key), UploadId: upload, PartNumberMarker: marker };
    const page = await bucket.ask('list', options =>
      bucket.client.send(new ListPartsCommand(asked), options),
    );
    for (const { PartNumber, ETag, Size } of page.Parts ?? [])
      there.set(PartNumber ?? 0, { etag: ETag ?? '', size: Size ?? 0 });
    marker = page.IsTruncated === true ? page.NextPartNumberMarker : undefined;
  } while (marker !== undefined);
  return there;
}
