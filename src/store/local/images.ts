import { ImageUnpackerError } from '../../image/error.js';
import { decodeDeletedName, encodeDeletedName } from '../deleted-name.js';
import { imageChanged, imageDeleted, imageExists, imageUnknown } from '../image-error.js';
import { byAge, decodeRecord, encodeRecord, isSameRecord, MAX_RECORD_BYTES } from '../record.js';
import { unlessDamaged } from '../damage.js';
import type { ImageRecord, OnDamaged } from '../store.js';
import { DELETED, IMAGES } from './layout.js';
import { NamedFiles } from './named-files.js';
import type { Session } from './session.js';

/** The records of the images in a store that is a directory. Whoever changes one holds the lock of the records. */
export class LocalImages {
  readonly #location: string;
  readonly #records: NamedFiles;
  readonly #deleted: NamedFiles;

  constructor(location: string) {
    this.#location = location;
    this.#records = new NamedFiles(location, IMAGES, MAX_RECORD_BYTES);
    this.#deleted = new NamedFiles(location, DELETED, MAX_RECORD_BYTES);
  }

  /** The record of that image. Throws `IMAGE_UNKNOWN` naming the nearest one, `STORE_DAMAGED`. */
  async read(name: string): Promise<ImageRecord> {
    const record = await this.find(name);
    if (record === undefined) throw await this.#unknown(name);
    return record;
  }

  /** The same; undefined if there is no such image. */
  async find(name: string): Promise<ImageRecord | undefined> {
    const path = this.#records.pathOf(name);
    const text = await this.#records.read(name);
    if (text === undefined) return undefined;
    try {
      const record = decodeRecord(text, path);
      if (record.name === name) return record;
      throw new ImageUnpackerError(
        'STORE_DAMAGED',
        `${path} is damaged: it is the record of ${record.name}`,
        {
          path,
        },
      );
    } catch (reason) {
      const { message, subject } = ImageUnpackerError.from(reason, `Cannot read ${path}`);
      const advice = `${message}; delete the image ${name}, and build it again`;
      throw new ImageUnpackerError('STORE_DAMAGED', advice, { ...subject, image: name }, reason);
    }
  }

  /** Whether there is such an image, be its record good or not. */
  async has(name: string): Promise<boolean> {
    return this.#records.has(name);
  }

  /** The names of all images, or of one stream's. Throws `STORE_DAMAGED` at a file that is none. */
  async names(stream?: string): Promise<string[]> {
    return this.#records.names(stream);
  }

  /** The records of all images, or of one stream's, oldest first. */
  async list(stream?: string, onDamaged?: OnDamaged): Promise<ImageRecord[]> {
    const records: ImageRecord[] = [];
    for (const name of await this.names(stream)) {
      // It may be removed meanwhile.
      const record = await unlessDamaged(name, onDamaged, () => this.find(name));
      if (record !== undefined) records.push(record);
    }
    return records.sort(byAge);
  }

  /** Makes an image known, durably. Throws `IMAGE_EXISTS`, `IMAGE_DELETED`. */
  async create(session: Session, record: ImageRecord, reuseName: boolean): Promise<void> {
    const { name, digest } = record;
    const deleted = await this.#deletedDigest(name);
    if (!reuseName && deleted !== undefined && deleted !== digest) {
      throw (await this.has(name)) ? imageExists(this.#location, name) : imageDeleted(this.#location, name);
    }
    try {
      await this.#records.create(session, name, encodeRecord(record));
    } catch (reason) {
      if ((reason as NodeJS.ErrnoException).code === 'EEXIST') throw imageExists(this.#location, name);
      throw this.#failed(reason, 'add an image to');
    }
  }

  /** Replaces a record, durably, if it is still the one that is expected. Throws `IMAGE_CHANGED`, `IMAGE_UNKNOWN`. */
  async replace(session: Session, next: ImageRecord, expected: ImageRecord): Promise<void> {
    if (!isSameRecord(await this.read(next.name), expected)) throw imageChanged(this.#location, next.name);
    try {
      await this.#records.replace(session, next.name, encodeRecord(next));
    } catch (reason) {
      throw this.#failed(reason, 'change an image of');
    }
  }

  /** Forgets an image, durably, and remembers what had its name. Throws `IMAGE_UNKNOWN`, `IMAGE_CHANGED`. */
  async remove(session: Session, name: string, expected: ImageRecord | undefined): Promise<void> {
    // One that is damaged goes, and what it was is not known.
    const record = await this.find(name).catch((reason: unknown) => {
      if (expected === undefined && isDamaged(reason)) return undefined;
      throw reason;
    });
    if (record === undefined && !(await this.has(name))) throw await this.#unknown(name);
    if (expected !== undefined && (record === undefined || !isSameRecord(record, expected))) {
      throw imageChanged(this.#location, name);
    }
    try {
      if (record !== undefined) await this.#deleted.replace(session, name, encodeDeletedName(record));
      await this.#records.remove(name);
    } catch (reason) {
      throw this.#failed(reason, 'delete an image of');
    }
  }

  async #deletedDigest(name: string): Promise<string | undefined> {
    const text = await this.#deleted.read(name);
    if (text === undefined) return undefined;
    try {
      return decodeDeletedName(text, this.#deleted.pathOf(name)).digest;
    } catch (reason) {
      // It is there to warn; what it said is not known.
      if (isDamaged(reason)) return '';
      throw reason;
    }
  }

  async #unknown(name: string): Promise<ImageUnpackerError> {
    return imageUnknown({ location: this.#location, list: stream => this.names(stream) }, name);
  }

  #failed(reason: unknown, doing: string): ImageUnpackerError {
    return ImageUnpackerError.from(reason, `Cannot ${doing} the store ${this.#location}`, {
      path: this.#location,
    });
  }
}

function isDamaged(reason: unknown): boolean {
  return reason instanceof ImageUnpackerError && reason.code === 'STORE_DAMAGED';
}
