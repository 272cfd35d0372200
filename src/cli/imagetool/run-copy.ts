import { ImageUnpackerError } from '../../image/error.js';
import type { ProgressSink } from '../../image/progress.js';
import { copyContent } from '../../imageserver/replication/copy-content.js';
import { findImage } from '../../store/find-image.js';
import { imageExists } from '../../store/image-error.js';
import type { ImageRecord, Store } from '../../store/store.js';
import type { OptionValues } from '../command.js';
import type { storeOptions } from '../open-store.js';
import { openStore } from '../open-store.js';

/** What `copy` runs with. */
interface CopyContext {
  options: OptionValues<typeof storeOptions> & { to: string };
  args: { name: string };
  signal: AbortSignal;
  progress: ProgressSink;
}

/** HOST:PORT or unix:PATH; a directory of such a name is written with a slash. */
const SERVER = /^(?:unix:.+|[^/]+:\d{1,5})$/;

/** Copies an image with all that it needs. Throws `IMAGE_EXISTS` when another one has its name there. */
export async function copyImage({ options, args, signal, progress }: CopyContext) {
  const began = performance.now();
  const { to } = options;
  const place = SERVER.test(to) ? { store: undefined, server: to } : { store: to, server: undefined };
  const source = await openStore(options, signal);
  try {
    // What the source's images must be signed with is no matter of the destination's.
    const destination = await openStore({ ...options, ...place, trustedKeys: undefined }, signal, true);
    try {
      const record = await findImage(source, args.name);
      const copied = await copy({ source, destination }, record, { signal, progress });
      const seconds = Math.round(performance.now() - began) / 1000;
      return { name: record.name, digest: record.digest, to, ...copied, seconds };
    } finally {
      await destination.close();
    }
  } finally {
    await source.close();
  }
}

async function copy(
  ends: { source: Store; destination: Store },
  record: ImageRecord,
  { signal, progress }: Pick<CopyContext, 'signal' | 'progress'>,
): Promise<{ newObjects: number; newBytes: number }> {
  const copied = { newObjects: 0, newBytes: 0 };
  const there = await imageThere(ends.destination, record.name);
  if (there?.digest === record.digest) return copied;
  if (there !== undefined) throw imageExists(ends.destination.location, record.name);
  const step = progress.step('Copying objects', 'bytes');
  const onCopied = (objects: number, bytes: number): void => {
    copied.newObjects += objects;
    copied.newBytes += bytes;
    step.update(copied.newBytes);
  };
  try {
    await copyContent(ends, record, undefined, { signal, onCopied });
    await ends.destination.create(record);
    return copied;
  } finally {
    step.end();
  }
}

async function imageThere(store: Store, name: string): Promise<ImageRecord | undefined> {
  try {
    return await store.image(name);
  } catch (reason) {
    if (reason instanceof ImageUnpackerError && reason.code === 'IMAGE_UNKNOWN') return undefined;
    throw reason;
  }
}
