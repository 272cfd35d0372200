import { readFile } from 'node:fs/promises';
import { sha512 } from '../../image/digest.js';
import { ImageUnpackerError } from '../../image/error.js';
import type { StagedObject, UploadTarget } from '../cache/uploads.js';
import type { SmallObject } from '../store.js';
import type { Bucket } from './bucket.js';
import { objectKey } from './layout.js';
import { putFile, SINGLE_BYTES } from './multipart.js';
import type { S3Objects } from './objects.js';

/** Where objects go that are stored on S3, which takes each by itself. */
export class S3UploadTarget implements UploadTarget {
  readonly location: string;
  readonly verifies = false;
  readonly batch = { objects: 1, bytes: 0, atOnce: 48 };
  readonly rescue: UploadTarget['rescue'];
  readonly #bucket: Bucket;
  readonly #objects: S3Objects;

  constructor(bucket: Bucket, objects: S3Objects, rescue: UploadTarget['rescue']) {
    this.location = bucket.location;
    this.rescue = rescue;
    this.#bucket = bucket;
    this.#objects = objects;
  }

  async sizes(digests: readonly Buffer[]): Promise<(number | undefined)[]> {
    return this.#objects.sizes(digests);
  }

  async addMany(objects: readonly SmallObject[]): Promise<void> {
    for (const { digest, bytes } of objects) await this.#objects.add(digest, bytes);
  }

  async addFile({ digest, size, path }: StagedObject): Promise<void> {
    if (size > SINGLE_BYTES) {
      await putFile(this.#bucket, objectKey(digest), path, { digest, size });
      return;
    }
    const bytes = await readFile(path);
    if (!sha512(bytes).equals(digest))
      throw new ImageUnpackerError('STORE_DAMAGED', `${path} has changed on its way to ${this.location}`);
    await this.#objects.add(digest, bytes);
  }
}
