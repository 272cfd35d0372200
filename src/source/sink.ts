import type { Watch } from '../native.js';

/** Where the data of files goes: a store, seen from a source. */
export interface ObjectSink {
  /** Stores bytes that come bit by bit. */
  putStream(chunks: AsyncIterable<Buffer>): Promise<StoredObject>;
  /** Hashes and stores files beneath an open directory: takes packed files, gives digests (native/ingest.cc). */
  ingest(root: number, files: Buffer, watch: Watch): Promise<Buffer>;
}

export interface StoredObject {
  digest: Buffer;
  /** In bytes. */
  size: number;
  /** Whether it was not stored before. */
  added: boolean;
}
