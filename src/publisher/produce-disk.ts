import type { DiskBoot } from '../cloud/cloud.js';
import { throwIfAborted } from '../image/error.js';
import { parseImageName } from '../image/name.js';
import type { BootFacts, CallOptions, DiskCapture, Unpacker } from '../rpc/unpacker.js';
import type { StageName } from './event.js';
import type { UnpackOptions } from './options.js';
import type { StageWork } from './staged.js';
import { staged } from './staged.js';

/** Does `work` with the unpacker, if one is needed, and closes it if it was made for it. */
export async function withUnpacker<T>(
  given: UnpackOptions['unpacker'] | undefined,
  work: (unpacker: Unpacker | undefined) => Promise<T>,
): Promise<T> {
  if (typeof given !== 'function') return work(given);
  const unpacker = await given();
  try {
    return await work(unpacker);
  } finally {
    await unpacker.close();
  }
}

/** The disk of an image, held until the capture is closed. */
export interface ProducedDisk {
  readonly capture: DiskCapture;
  /** Blocks of the volume that unpacking wrote to, null where the kernel does not tell. */
  readonly blocksWritten: number | null;
  /** What an image of the disk tells machines; undefined when it does not boot. */
  readonly boot: DiskBoot | undefined;
}

/** Unpacks an image and captures its disk. */
export async function produceDisk(
  unpacker: Unpacker,
  { image, digest }: { image: string; digest: string },
  work: StageWork & { readonly signal: AbortSignal | undefined },
): Promise<ProducedDisk> {
  const { reporter, signal } = work;
  const { stream } = parseImageName(image);
  const called = <T>(stage: StageName, call: (options: CallOptions) => Promise<T>): Promise<T> => {
    throwIfAborted(signal);
    return staged(work, null, stage, running => {
      const onProgress: CallOptions['onProgress'] = ({ step, done, total, unit }) => {
        running.progress(step, done, total, unit);
      };
      return call({ signal, onProgress });
    });
  };
  const { blocksWritten, boot, warnings } = await called('unpack', options =>
    unpacker.unpack({ image, digest, create: true }, options),
  );
  for (const message of warnings) reporter.tell({ type: 'note', target: null, message });
  const capture = await called('capture', options => unpacker.capture(stream, digest, options));
  return { capture, blocksWritten, boot: diskBoot(boot) };
}

function diskBoot(boot: BootFacts | null): DiskBoot | undefined {
  if (boot === null) return undefined;
  const { architecture, bootMode, rootDevice } = boot;
  return { architecture, bootMode, rootDevice };
}
