import type {
  CloudTarget,
  CreatedDisk,
  DiskBoot,
  ParentDisk,
  PublishedImage,
  RunStage,
  Tags,
} from '../cloud/cloud.js';
import { TAG } from '../cloud/cloud.js';
import { diskDigest } from '../image/disk-map.js';
import { ImageUnpackerError, throwIfAborted } from '../image/error.js';
import { parseImageName } from '../image/name.js';
import type { Change, JournalRecord, RunBegin } from './journal.js';
import { JournalledBlocks } from './sent-blocks.js';
import type { SharedContent } from './share-blocks.js';
import type { StageWork } from './staged.js';
import { staged } from './staged.js';
import type { Target } from './target.js';

/** Where nobody else's work is known of, what was begun so long ago is nobody's any more. */
const LONGEST_WORK_MILLISECONDS = 65 * 60 * 1000;

type Outcome = JournalRecord & { record: 'outcome' };

/** What one target is published to with. */
export interface TargetWork extends StageWork {
  readonly target: Target;
  /** Opened to be changed. */
  readonly cloud: CloudTarget;
  readonly signal: AbortSignal | undefined;
  readonly now: () => Date;
}

/** What was made in a target. */
export interface Published {
  readonly image: PublishedImage;
  readonly blocksSent: number;
  readonly parentId: string | undefined;
}

/** Says what is about to be changed, does it, and says what came of it. */
export async function journalled<T>(
  { journal, target }: Pick<TargetWork, 'journal' | 'target'>,
  change: Change,
  work: () => Promise<T>,
  tell: (result: T) => Partial<Pick<Outcome, 'id' | 'blocksSent' | 'parentId' | 'parentImage'>> = () => ({}),
): Promise<T> {
  await journal.append({ record: 'intent', target: target.name, change });
  try {
    const result = await work();
    await journal.append({ record: 'outcome', target: target.name, change, ...tell(result) });
    return result;
  } catch (reason) {
    const error = reason instanceof Error ? reason.message : String(reason);
    // Where the journal cannot be written, the error of the work is still the one to tell of.
    await journal.append({ record: 'outcome', target: target.name, change, error }).catch(() => undefined);
    throw reason;
  }
}

/** Removes what stands in the way: disks that a run which has ended left behind, and images whose disks are gone. */
export async function clearTarget(work: TargetWork, replaces: readonly PublishedImage[]): Promise<void> {
  const { cloud, journal, signal, now } = work;
  for (const { id, tags, since } of await cloud.unfinished({ signal })) {
    // This run's own disk may be whole and only lack its image.
    if (tags[TAG.run] === journal.begin.run) continue;
    if (since !== undefined && now().getTime() - Date.parse(since) < LONGEST_WORK_MILLISECONDS) continue;
    await journalled(
      work,
      'remove-disk',
      () => cloud.removeDisk(id, { signal }),
      () => ({ id }),
    );
  }
  for (const { id } of replaces) {
    await journalled(
      work,
      'remove-image',
      () => cloud.remove(id, { signal }),
      () => ({ id }),
    );
  }
}

/** Makes the disk and the image of a run in one target. */
export async function publishTarget(
  work: TargetWork,
  { content, boot }: { content: SharedContent; boot: DiskBoot | undefined },
): Promise<Published> {
  const { cloud, target, journal, signal } = work;
  const { begin } = journal;
  const tags = tagsOf(begin, diskDigest(content.map).toString('hex'));
  const created = await staged(work, target.name, 'disk', async running => {
    const parent = await parentDisk(work, content.map.size);
    const onProgress = (done: number, total: number): void => {
      running.progress('disk', done, total, 'bytes');
    };
    const request = {
      token: `${begin.run} ${target.name} ${begin.digest}`,
      content,
      parent,
      tags: { ...tags, [TAG.name]: begin.image },
      boot,
      sent: new JournalledBlocks(journal, target.name),
    };
    return journalled(
      work,
      'create-disk',
      () => cloud.createDisk(request, { signal, onProgress }),
      disk => ({ id: disk.id, blocksSent: disk.blocksSent, ...parentOf(disk, parent?.image) }),
    );
  });
  const image = await register(work, created.id, tags);
  return { image, blocksSent: created.blocksSent, parentId: created.parentId };
}

/** Has a target unpack the image of a run of so many bytes itself, and makes the image there of that. */
export async function publishUnpacked(
  work: TargetWork,
  bytes: bigint,
): Promise<{ image: PublishedImage; blocksWritten: number | null }> {
  const { cloud, target, journal, reporter, signal } = work;
  const { image: name, digest, run } = journal.begin;
  const request = {
    token: `${run} ${target.name} ${digest}`,
    image: { name, digest, bytes },
    tags: { ...tagsOf(journal.begin, undefined), [TAG.name]: name },
  };
  const stage: RunStage = (each, part) =>
    staged(work, target.name, each, running =>
      part((...told) => {
        running.progress(...told);
      }),
    );
  const note = (message: string): void => {
    reporter.tell({ type: 'note', target: target.name, message });
  };
  const created = await journalled(
    work,
    'create-disk',
    () => cloud.unpackDisk!(request, { signal, stage, note }),
    ({ id }) => ({ id }),
  );
  const tags = tagsOf(journal.begin, created.digest);
  return { image: await register(work, created.id, tags), blocksWritten: created.blocksWritten };
}

/** What a disk was made from, and of which image that is, where it is the one that was proposed. */
function parentOf(
  { parentId }: CreatedDisk,
  proposed: PublishedImage | undefined,
): Pick<Outcome, 'parentId' | 'parentImage'> {
  if (parentId === undefined) return {};
  const parentImage = proposed?.diskId === parentId ? proposed.tags[TAG.imageName] : undefined;
  return { parentId, ...(parentImage === undefined ? {} : { parentImage }) };
}

function register(work: TargetWork, diskId: string, tags: Tags): Promise<PublishedImage> {
  const { cloud, target, signal } = work;
  throwIfAborted(signal);
  return staged(work, target.name, 'register', () =>
    journalled(
      work,
      'register',
      () => cloud.register(diskId, tags, { signal }),
      ({ id }) => ({ id }),
    ),
  );
}

/** The tags of the image of a run. Those that we write ourselves cannot be the user's. */
function tagsOf({ image, digest, tags, expiresAt, run }: RunBegin, disk: string | undefined): Tags {
  const { stream } = parseImageName(image);
  return {
    ...tags,
    [TAG.name]: stream,
    ...(expiresAt === null ? {} : { [TAG.expiresAt]: expiresAt }),
    [TAG.stream]: stream,
    [TAG.imageName]: image,
    [TAG.imageDigest]: digest,
    ...(disk === undefined ? {} : { [TAG.diskDigest]: disk }),
    [TAG.run]: run,
  };
}

/** The parent with what its disk holds. One of which that is not known is done without, and said so. */
async function parentDisk(
  { cloud, reporter, target, journal, signal }: TargetWork,
  size: bigint,
): Promise<ParentDisk | undefined> {
  const image = await cloud.parent(parseImageName(journal.begin.image).stream, size, { signal });
  if (image === undefined) return undefined;
  try {
    return { image, map: await cloud.map(image.id, { signal }) };
  } catch (reason) {
    const isDamage =
      reason instanceof ImageUnpackerError &&
      ['STATE_DAMAGED', 'STORE_DAMAGED', 'IMAGE_UNKNOWN'].includes(reason.code);
    if (!isDamage) throw reason;
    const message = `All blocks are written, as those of ${image.id} are not known: ${reason.message}`;
    reporter.tell({ type: 'note', target: target.name, message });
    return undefined;
  }
}
