import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { ExecutionContext, TestFn } from 'ava';
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import type { S3ClientConfig } from '@aws-sdk/client-s3';
import { openS3Store } from '../../../src/store/s3/open.js';
import type { S3Store } from '../../../src/store/s3/store.js';

import type { Moto } from '../../moto.js';
import { startMoto } from '../../moto.js';
import { temporaryDirectory } from '../../temporary-directory.js';

export const BUCKET = 'images';

/** A bucket of a moto_server of a test file, and what is done to it behind a store's back. */
export class MotoBucket {
  #moto: Moto | undefined;
  #client: S3Client | undefined;

  /** Starts it before the tests of a file, and ends it after them. */
  static during(test: TestFn): MotoBucket {
    const bucket = new MotoBucket();
    test.before(async () => {
      bucket.#moto = await startMoto();
      Object.assign(process.env, bucket.#moto.environment);
      bucket.#client = new S3Client(bucket.config);
      await bucket.client.send(new CreateBucketCommand({ Bucket: BUCKET }));
    });
    test.after.always(async () => {
      bucket.#client?.destroy();
      await bucket.#moto?.stop();
    });
    return bucket;
  }

  get client(): S3Client {
    return this.#client!;
  }

  get environment(): Readonly<Record<string, string>> {
    return this.#moto!.environment;
  }

  get config(): S3ClientConfig {
    return {
      endpoint: this.#moto!.endpoint,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: { accessKeyId: 'testing', secretAccessKey: 'testing' },
    };
  }

  /** A place for a store that nothing else uses. */
  newLocation(): string {
    return `s3://${BUCKET}/tests/${randomBytes(6).toString('hex')}`;
  }

  /** Opens the store at `location`, with a cache of its own. */
  async open(t: ExecutionContext, location: string, cache = temporaryDirectory(t)): Promise<S3Store> {
    const store = await openS3Store(location, {
      create: true,
      cache: { directory: join(cache, 'cache'), maxBytes: 1 << 30 },
      config: this.config,
    });
    t.teardown(() => store.close());
    return store;
  }

  async read(location: string, key: string): Promise<Buffer> {
    const found = await this.client.send(new GetObjectCommand(keyOf(location, key)));
    return Buffer.from(await found.Body!.transformToByteArray());
  }

  async write(location: string, key: string, bytes: Buffer | string): Promise<void> {
    await this.client.send(new PutObjectCommand({ ...keyOf(location, key), Body: bytes }));
  }

  async delete(location: string, key: string): Promise<void> {
    await this.client.send(new DeleteObjectCommand(keyOf(location, key)));
  }

  /** The keys of a store, or those below one. */
  async keys(location: string, below = ''): Promise<string[]> {
    const { Bucket, Key } = keyOf(location, below);
    const keys: string[] = [];
    let token: string | undefined;
    do {
      const page = await this.client.send(
        new ListObjectsV2Command({ Bucket, Prefix: Key, ContinuationToken: token }),
      );
      for (const each of page.Contents ?? []) keys.push(each.Key!.slice(keyOf(location, '').Key.length));
      token = page.NextContinuationToken;
    } while (token !== undefined);
    return keys;
  }
}

export function keyOf(location: string, key: string): { Bucket: string; Key: string } {
  const [bucket = '', ...prefix] = location.slice('s3://'.length).split('/');
  return { Bucket: bucket, Key: `${prefix.join('/')}/${key}` };
}
