import { sha512 } from '../../src/image/digest.js';
import { silentProgress } from '../../src/image/progress.js';
import type { Watch } from '../../src/native.js';
import { ingestFiles } from '../../src/native.js';
import type { ObjectSink } from '../../src/source/sink.js';
import type { DirectoryOptions } from '../../src/source/directory.js';

/** Keeps streams in memory; of files it knows the digests only. */
export class MemorySink implements ObjectSink {
  readonly objects = new Map<string, Buffer>();
  /** Called before files are read. */
  onIngest: () => void = () => undefined;

  async putStream(chunks: AsyncIterable<Buffer>) {
    const pieces: Buffer[] = [];
    for await (const chunk of chunks) pieces.push(chunk);
    const bytes = Buffer.concat(pieces);
    const digest = sha512(bytes);
    const added = !this.objects.has(digest.toString('hex'));
    this.objects.set(digest.toString('hex'), bytes);
    return { digest, size: bytes.length, added };
  }

  async ingest(root: number, files: Buffer, _watch: Watch) {
    this.onIngest();
    return ingestFiles(root, files, undefined, {});
  }
}

/** Options that keep what was warned of. */
export function treeOptions(more: Partial<DirectoryOptions> = {}): DirectoryOptions & { warnings: string[] } {
  const warnings: string[] = [];
  return {
    progress: silentProgress,
    now: Date.now,
    warn: message => warnings.push(message),
    warnings,
    ...more,
  };
}
