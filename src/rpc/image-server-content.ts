import { setTimeout as sleep } from 'node:timers/promises';
import { DIGEST_BYTES } from '../image/digest.js';
import { ImageUnpackerError } from '../image/error.js';
import type { FileData } from '../store/derivable.js';
import { MAX_DISK_MAP_BYTES } from '../store/disk-map-form.js';
import type { ObjectAnswer, OpenObject } from '../store/remote/connection.js';
import { encodeDerivation, MAX_DERIVATION_BYTES } from '../store/remote/derivation.js';
import { BodyReader, decodeSizes, readAnswerHead, sentBody, SMALL_BYTES } from '../store/remote/frames.js';
import type { SmallObject } from '../store/store.js';
import type { ServerHttp } from './image-server-http.js';
import {
  DERIVED_PATH,
  DISK_MAPS_PATH,
  malformed,
  OBJECTS_PATH,
  partsOf,
  SIZES_PATH,
  UPLOAD_LENGTH,
  UPLOAD_OFFSET,
  UPLOADS_PATH,
} from './image-server-messages.js';

/** What somebody else sends is waited for, for two minutes. */
const BUSY_ATTEMPTS = 240;
const BUSY_MILLISECONDS = 500;

/** The bytes of objects and disk maps, which an image server gives and takes over HTTP. */
export class ServerContent {
  readonly #http: ServerHttp;
  readonly #signal: AbortSignal | undefined;

  constructor(http: ServerHttp, signal: AbortSignal | undefined) {
    this.#http = http;
    this.#signal = signal;
  }

  async diskMap(image: Buffer, disk: Buffer): Promise<Buffer | undefined> {
    const bytes = await this.#http.fetch({ method: 'GET', path: mapPath(image, disk) }, MAX_DISK_MAP_BYTES);
    // A map has a head at least.
    return bytes.length === 0 ? undefined : bytes;
  }

  async keepDiskMap(image: Buffer, disk: Buffer, map: Buffer): Promise<void> {
    await this.#http.fetch({ method: 'PUT', path: mapPath(image, disk), body: map });
  }

  async sizes(digests: readonly Buffer[], toRead: boolean): Promise<(number | undefined)[]> {
    const path = `${SIZES_PATH}?for=${toRead ? 'read' : 'store'}`;
    const found: (number | undefined)[] = [];
    for (const part of partsOf(digests)) {
      const sizes = decodeSizes(
        await this.#http.fetch({ method: 'POST', path, body: Buffer.concat(part) }),
        part.length,
      );
      if (sizes === undefined) throw malformed('sizes that are none');
      found.push(...sizes);
    }
    return found;
  }

  object(digest: Buffer, start: number): AsyncIterable<Buffer> {
    return this.#http.stream(objectPath(digest), start);
  }

  async objects(digests: readonly Buffer[], limit: number): Promise<ObjectAnswer[]> {
    const path = `${OBJECTS_PATH}?limit=${String(limit)}`;
    return this.#http.again(async () => {
      const response = await this.#http.send({ method: 'POST', path, body: Buffer.concat(digests) });
      const reader = new BodyReader(response as AsyncIterable<Buffer>);
      const answers: ObjectAnswer[] = [];
      try {
        for (let at = 0; at < digests.length; at++) {
          const { state, size } = await readAnswerHead(reader);
          if (state !== 'good') answers.push({ state });
          else if (size > limit) throw malformed('an object that is too large');
          else answers.push({ state, bytes: Buffer.from(await reader.take(size)) });
        }
        if (!(await reader.isAtEnd())) throw malformed('more than was asked for');
      } catch (reason) {
        response.destroy();
        throw reason;
      }
      return answers;
    });
  }

  async sendObjects(objects: readonly SmallObject[]): Promise<boolean[]> {
    const taken: boolean[] = [];
    // One that is not small by itself: it is in memory already.
    const small = objects.filter(({ bytes }) => bytes.length <= SMALL_BYTES);
    const added = new Map<Buffer, boolean>();
    if (small.length > 0) {
      const { length, pieces } = sentBody(small);
      const answer = await this.#http.fetch({
        method: 'PUT',
        path: OBJECTS_PATH,
        headers: { 'content-length': length },
        body: { [Symbol.asyncIterator]: pieces },
      });
      if (answer.length !== small.length) throw malformed('another number of answers');
      for (const [at, { digest }] of small.entries()) added.set(digest, answer[at] === 1);
    }
    for (const { digest, bytes } of objects) {
      const known = added.get(digest);
      taken.push(known ?? (await this.#sendBytes(digest, bytes)));
    }
    return taken;
  }

  async sendObject(digest: Buffer, size: number, open: OpenObject): Promise<boolean> {
    let start = 0;
    const send = async (): Promise<boolean> => {
      const headers = { [UPLOAD_OFFSET]: start, [UPLOAD_LENGTH]: size, 'content-length': size - start };
      const body = open(start);
      try {
        const response = await this.#http.send({ method: 'PUT', path: objectPath(digest), headers, body });
        response.resume();
        return response.statusCode === 201;
      } finally {
        await body.return(undefined);
      }
    };
    for (let busy = 1; ; busy++) {
      try {
        return await this.#http.again(async (attempt, gotOn) => {
          const before = start;
          if (attempt > 1) start = await this.#offsetOf(digest);
          if (start > before) gotOn();
          return send();
        });
      } catch (reason) {
        // Somebody else sends it, or a connection of ours that is lost is not yet given up there.
        const isBusy = reason instanceof ImageUnpackerError && reason.code === 'STATE_BUSY';
        if (!isBusy || busy === BUSY_ATTEMPTS) throw reason;
        await sleep(BUSY_MILLISECONDS, undefined, this.#signal && { signal: this.#signal });
        if ((await this.sizes([digest], false))[0] === size) return false;
        const before = start;
        start = await this.#offsetOf(digest);
        // Who sends it gets on: that takes as long as it takes.
        if (start > before) busy = 0;
      }
    }
  }

  async deriveObject(wanted: FileData, found: FileData): Promise<boolean> {
    const path = `${DERIVED_PATH}/${wanted.digest!.toString('hex')}`;
    const body = encodeDerivation(wanted, found);
    if (body.length > MAX_DERIVATION_BYTES) return false;
    const answer = await this.#http.fetch({ method: 'PUT', path, body });
    return answer[0] === 1;
  }

  close(): void {
    this.#http.close();
  }

  async #sendBytes(digest: Buffer, bytes: Buffer): Promise<boolean> {
    const open = async function* (start: number): AsyncGenerator<Buffer> {
      yield Promise.resolve(bytes.subarray(start));
    };
    return this.sendObject(digest, bytes.length, open);
  }

  /** How many bytes the server has of an object that was being sent. */
  async #offsetOf(digest: Buffer): Promise<number> {
    const path = `${UPLOADS_PATH}/${digest.toString('hex')}`;
    const response = await this.#http.send({ method: 'HEAD', path });
    response.resume();
    const offset = Number(response.headers[UPLOAD_OFFSET] ?? 0);
    if (!Number.isSafeInteger(offset) || offset < 0) throw malformed('an offset that is none');
    return offset;
  }
}

function objectPath(digest: Buffer): string {
  if (digest.length !== DIGEST_BYTES)
    throw new ImageUnpackerError('INTERNAL', 'An object has no such digest');
  return `${OBJECTS_PATH}/${digest.toString('hex')}`;
}

function mapPath(image: Buffer, disk: Buffer): string {
  return `${DISK_MAPS_PATH}/${image.toString('hex')}/${disk.toString('hex')}`;
}
