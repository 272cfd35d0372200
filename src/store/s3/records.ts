import { ImageUnpackerError } from '../../image/error.js';
import { unseal } from '../../image/sealed.js';
import type { DeletedName } from '../deleted-name.js';
import { decodeDeletedName, encodeDeletedName } from '../deleted-name.js';
import { imageChanged, imageDeleted, imageExists } from '../image-error.js';
import { inParallel } from '../../image/in-parallel.js';
import { decodeRecord, encodeRecord, isSameRecord, MAX_RECORD_BYTES } from '../record.js';
import type { ImageRecord, OnDamaged } from '../store.js';
import type { Bucket } from './bucket.js';
import { IMAGES, namedKey, nameOfKey } from './layout.js';

const READS_AT_ONCE = 32;

/** What lies under the name of an image, and which version of it that is. */
export interface Named {
  etag: string;
  record?: ImageRecord;
  deleted?: DeletedName;
  /** Of what is neither. */
  damage?: ImageUnpackerError;
}

/** The records of the images in a store on S3. What was read is kept, and read again only when S3 has another version. */
export class S3Records {
  readonly #bucket: Bucket;
  readonly #known = new Map<string, Named>();

  constructor(bucket: Bucket) {
    this.#bucket = bucket;
  }

  /** Where the store is. */
  get location(): string {
    return this.#bucket.location;
  }

  /** What lies under a name; undefined if nothing does and nothing ever did. Throws `IMAGE_NAME`. */
  async find(name: string): Promise<Named | undefined> {
    const key = namedKey(IMAGES, name);
    const found = await this.#bucket.get(key, MAX_RECORD_BYTES);
    if (found === undefined) return undefined;
    const named = this.#decode(name, key, found.bytes, found.etag);
    this.#known.set(name, named);
    return named;
  }

  /** The record of an image; undefined if there is none. Throws `STORE_DAMAGED`. */
  async read(name: string): Promise<{ record: ImageRecord; etag: string } | undefined> {
    const named = await this.find(name);
    if (named?.damage !== undefined) throw named.damage;
    return named?.record === undefined ? undefined : { record: named.record, etag: named.etag };
  }

  /** The versions of all records, and of what deleted images were, by their names; or of those of one stream. */
  async versions(stream?: string): Promise<Map<string, string>> {
    const versions = new Map<string, string>();
    const below = stream === undefined ? IMAGES : `${IMAGES}${stream}/@`;
    for await (const { key, etag } of this.#bucket.list(below)) {
      const name = nameOfKey(IMAGES, key);
      if (name !== undefined) versions.set(name, etag);
    }
    return versions;
  }

  /** The records of all images, or of one stream's. Throws `STORE_DAMAGED`. */
  async list(stream?: string, onDamaged?: OnDamaged): Promise<ImageRecord[]> {
    const versions = await this.versions(stream);
    const named = await inParallel([...versions], READS_AT_ONCE, async ([name, etag]) => {
      const known = this.#known.get(name);
      return { name, ...(known?.etag === etag ? known : await this.find(name)) };
    });
    return named.flatMap(each => {
      if (each.damage !== undefined) {
        if (onDamaged === undefined) throw each.damage;
        onDamaged(each.name, each.damage);
        return [];
      }
      return each.record === undefined ? [] : [each.record];
    });
  }

  /** Makes an image known. Throws `IMAGE_EXISTS`, `IMAGE_DELETED`. */
  async create(record: ImageRecord, reuseName: boolean): Promise<void> {
    const { name, digest } = record;
    const { location } = this.#bucket;
    const bytes = encodeRecord(record);
    if ((await this.#bucket.put(namedKey(IMAGES, name), bytes, 'new')) !== undefined) return;
    const there = await this.find(name);
    if (there?.deleted === undefined) throw imageExists(location, name);
    if (!reuseName && there.deleted.digest !== digest) throw imageDeleted(location, name);
    if ((await this.#bucket.put(namedKey(IMAGES, name), bytes, there)) === undefined)
      throw imageExists(location, name);
  }

  /** Replaces a record if it is still the one that is expected. Throws `IMAGE_CHANGED`; undefined: there is none. */
  async replace(next: ImageRecord, expected: ImageRecord): Promise<boolean> {
    const there = await this.read(next.name);
    if (there === undefined) return false;
    const isExpected = isSameRecord(there.record, expected);
    if (
      !isExpected ||
      (await this.#bucket.put(namedKey(IMAGES, next.name), encodeRecord(next), there)) === undefined
    )
      throw imageChanged(this.#bucket.location, next.name);
    return true;
  }

  /** Puts in the place of what was there what the image was; resolves to the version, or undefined if it was changed. */
  async bury(name: string, there: Named): Promise<string | undefined> {
    const key = namedKey(IMAGES, name);
    if (there.record === undefined) {
      await this.#bucket.delete(key);
      return '';
    }
    return this.#bucket.put(key, encodeDeletedName(there.record), there);
  }

  /** Takes a burial back, if nobody has used the name since. */
  async revive(record: ImageRecord, etag: string): Promise<void> {
    await this.#bucket.put(namedKey(IMAGES, record.name), encodeRecord(record), { etag });
  }

  #decode(name: string, key: string, bytes: Buffer, etag: string): Named {
    const place = `${this.#bucket.location}/${key}`;
    try {
      const isRecord = 'createdAt' in unseal(bytes, place, 'STORE_DAMAGED');
      const named = isRecord
        ? { etag, record: decodeRecord(bytes, place) }
        : { etag, deleted: decodeDeletedName(bytes, place) };
      const found = named.record?.name ?? named.deleted?.name;
      if (found === name) return named;
      throw new ImageUnpackerError(
        'STORE_DAMAGED',
        `${place} is damaged: it is the record of ${found ?? ''}`,
      );
    } catch (reason) {
      const { message } = ImageUnpackerError.from(reason, `Cannot read ${place}`);
      const advice = `${message}; delete the image ${name}, and build it again`;
      return {
        etag,
        damage: new ImageUnpackerError('STORE_DAMAGED', advice, { path: place, image: name }, reason),
      };
    }
  }
}
