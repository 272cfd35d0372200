import { setMaxListeners } from 'node:events';
import type { Readable } from 'node:stream';
import type { S3ClientConfig } from '@aws-sdk/client-s3';
import {
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { ImageUnpackerError } from '../../image/error.js';
import { isConditionFailure, isMissing, s3Failure, wasRepeated } from './failure.js';
import type { S3Location } from './location.js';

/** As many connections as requests are made at once by one store. */
export const CONNECTIONS = 64;
/** A request that sends nothing for so long is made again, and given up after a few times. */
const REQUEST_MILLISECONDS = 60_000;
const CONNECT_MILLISECONDS = 10_000;
const MAX_ATTEMPTS = 5;
/** What S3 deletes with one request at most. */
const DELETED_AT_ONCE = 1000;

/** What is known of a key without reading it. */
export interface KeyFacts {
  key: string;
  size: number;
  etag: string;
  modified: Date;
}

/** The bytes of a key, and which version of it they are. */
export interface KeyContent {
  bytes: Buffer;
  etag: string;
}

/** When something is written: only if there is nothing, or only over one version. */
export type Condition = 'new' | { etag: string };

/** Keys below a prefix of a bucket. Errors are ours, and say what failed. */
export class Bucket {
  readonly location: string;
  readonly name: string;
  readonly client: S3Client;
  readonly #prefix: string;
  readonly #signal: AbortSignal | undefined;

  constructor(
    location: string,
    { bucket, prefix }: S3Location,
    { signal, config }: { signal?: AbortSignal | undefined; config?: S3ClientConfig | undefined },
  ) {
    this.location = location;
    this.name = bucket;
    this.#prefix = prefix;
    this.#signal = signal && AbortSignal.any([signal]);
    // Each request listens.
    if (this.#signal !== undefined) setMaxListeners(0, this.#signal);
    // The version of the SDK is ours to choose, and nothing that users can do anything about.
    process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
    const timeouts = { connectionTimeout: CONNECT_MILLISECONDS, requestTimeout: REQUEST_MILLISECONDS };
    this.client = new S3Client({
      // What is not Amazon's own has seldom a name for each bucket.
      forcePathStyle: (process.env['AWS_ENDPOINT_URL_S3'] ?? process.env['AWS_ENDPOINT_URL']) !== undefined,
      followRegionRedirects: true,
      maxAttempts: MAX_ATTEMPTS,
      requestHandler: {
        ...timeouts,
        httpAgent: { keepAlive: true, maxSockets: CONNECTIONS },
        httpsAgent: { keepAlive: true, maxSockets: CONNECTIONS },
      },
      ...config,
    });
  }

  /** What requests about a key have in common. */
  at(key: string): { Bucket: string; Key: string } {
    return { Bucket: this.name, Key: this.#prefix + key };
  }

  /** Makes a request. */
  async ask<T>(doing: string, request: (options: { abortSignal?: AbortSignal }) => Promise<T>): Promise<T> {
    try {
      return await request(this.#signal === undefined ? {} : { abortSignal: this.#signal });
    } catch (reason) {
      throw s3Failure(reason, doing, this.location);
    }
  }

  /** What is known of a key; undefined if there is none. */
  async head(key: string): Promise<KeyFacts | undefined> {
    return this.ask('look into', async options => {
      try {
        const found = await this.client.send(new HeadObjectCommand(this.at(key)), options);
        return {
          key,
          size: found.ContentLength ?? 0,
          etag: found.ETag ?? '',
          modified: found.LastModified ?? new Date(0),
        };
      } catch (reason) {
        if (isMissing(reason)) return undefined;
        throw reason;
      }
    });
  }

  /** The bytes of a key; undefined if there is none. Throws `STORE_DAMAGED` when it has more than `limit`. */
  async get(key: string, limit: number): Promise<KeyContent | undefined> {
    return this.ask('read', async options => {
      try {
        const found = await this.client.send(new GetObjectCommand(this.at(key)), options);
        const size = found.ContentLength ?? 0;
        if (size > limit) {
          (found.Body as Readable).destroy();
          const message = `${this.location}/${key} is damaged: it is larger than anything of its kind`;
          throw new ImageUnpackerError('STORE_DAMAGED', message, { path: key });
        }
        return { bytes: Buffer.from(await found.Body!.transformToByteArray()), etag: found.ETag ?? '' };
      } catch (reason) {
        if (isMissing(reason)) return undefined;
        throw reason;
      }
    });
  }

  /** The bytes of a key from `start` on, up to `end`; `etag` is the version that they must be of. Undefined if there is none. */
  async open(key: string, range?: { start: number; end: number }, etag?: string) {
    return this.ask('read', async options => {
      const asked = {
        ...this.at(key),
        ...(range !== undefined && { Range: `bytes=${String(range.start)}-${String(range.end - 1)}` }),
        ...(etag !== undefined && { IfMatch: etag }),
      };
      try {
        const found = await this.client.send(new GetObjectCommand(asked), options);
        return { body: found.Body as Readable, size: found.ContentLength ?? 0, etag: found.ETag ?? '' };
      } catch (reason) {
        if (isMissing(reason)) return undefined;
        throw reason;
      }
    });
  }

  /** Writes a key; resolves to its version, or to undefined when the condition does not hold. */
  async put(key: string, bytes: Buffer | string, condition?: Condition): Promise<string | undefined> {
    return this.ask('write to', async options => {
      const asked = {
        ...this.at(key),
        Body: bytes,
        ContentLength: Buffer.byteLength(bytes),
        ...(condition === 'new' && { IfNoneMatch: '*' }),
        ...(typeof condition === 'object' && { IfMatch: condition.etag }),
      };
      try {
        return (await this.client.send(new PutObjectCommand(asked), options)).ETag ?? '';
      } catch (reason) {
        const isGone = typeof condition === 'object' && isMissing(reason);
        if (condition === undefined || !(isConditionFailure(reason) || isGone)) throw reason;
        // A request that was made again may have met what it had done itself, whose answer was lost.
        if (!wasRepeated(reason)) return undefined;
        const there = await this.get(key, Buffer.byteLength(bytes));
        return there?.bytes.equals(Buffer.from(bytes)) === true ? there.etag : undefined;
      }
    });
  }

  /** Deletes a key; one that is not there is no error. */
  async delete(key: string): Promise<void> {
    await this.ask('delete from', options =>
      this.client.send(new DeleteObjectCommand(this.at(key)), options),
    );
  }

  /** Deletes keys, many with one request. */
  async deleteMany(keys: readonly string[]): Promise<void> {
    for (let at = 0; at < keys.length; at += DELETED_AT_ONCE) {
      const objects = keys.slice(at, at + DELETED_AT_ONCE).map(key => ({ Key: this.#prefix + key }));
      const asked = { Bucket: this.name, Delete: { Objects: objects, Quiet: true } };
      const { Errors: errors = [] } = await this.ask('delete from', options =>
        this.client.send(new DeleteObjectsCommand(asked), options),
      );
      const [first] = errors;
      if (first === undefined) continue;
      const message = `Cannot delete ${String(errors.length)} objects from the store ${this.location}: ${first.Message ?? ''}`;
      throw new ImageUnpackerError(first.Code === 'AccessDenied' ? 'NO_PERMISSION' : 'STORE_BUSY', message);
    }
  }

  /** All keys below one, in the order of their bytes. */
  async *list(below: string): AsyncGenerator<KeyFacts, void, undefined> {
    let token: string | undefined;
    do {
      const asked = { Bucket: this.name, Prefix: this.#prefix + below, ContinuationToken: token };
      const page = await this.ask('list', options =>
        this.client.send(new ListObjectsV2Command(asked), options),
      );
      for (const { Key, Size, ETag, LastModified } of page.Contents ?? []) {
        const key = (Key ?? '').slice(this.#prefix.length);
        yield { key, size: Size ?? 0, etag: ETag ?? '', modified: LastModified ?? new Date(0) };
      }
      token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
    } while (token !== undefined);
  }

  close(): void {
    this.client.destroy();
  }
}
