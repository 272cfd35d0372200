import { ImageUnpackerError } from '../image/error.js';
import { Ext4Check } from '../image/ext4-limits.js';
import { keyOf } from '../image/inode-match.js';
import { MAX_INDEX_BYTES, MAX_PAGE_BYTES } from '../image/limits.js';
import { decodeIndex } from '../image/manifest.js';
import { parseImageName } from '../image/name.js';
import type { Difference } from '../image/plan.js';
import type { ProgressSink } from '../image/progress.js';
import { ManifestReader } from '../store/manifest-reader.js';
import type { ImageRecord, Store } from '../store/store.js';
import { checkRoom, shapeFor } from './capacity.js';
import type { CurrentTree, ScanKind } from './current-tree.js';
import { checkedSuperblock, currentTree, findRecord, noTree } from './current-tree.js';
import type { BlockDevice } from './device.js';
import { openDevice } from './device.js';
import { differenceOf } from './difference.js';
import type { Layout } from './identity.js';
import { volumeIdentity } from './identity.js';
import { makeFileSystem, zeroDevice } from './make-file-system.js';
import type { InodeRow } from './known-tree.js';
import { nextTree } from './next-tree.js';
import { patchVolume } from './patch-volume.js';
import { preparePatch } from './prepare-patch.js';
import { checkMayFormat, probeDevice } from './probe.js';
import { rememberTree } from './remember.js';
import { addSparseForms } from './sparse-record.js';
import type { StageSeconds } from './stage-clock.js';
import { StageClock } from './stage-clock.js';
import type { StateDirectory } from './state-directory.js';
import type { ImageReference, VolumeRecord } from './volume-record.js';
import { beginWork, endWork } from './volume-record.js';
import type { Written } from './written-blocks.js';
import { WriteWatch } from './written-blocks.js';

/** What to make of a device. */
export interface ApplyRequest {
  device: string;
  image: ImageRecord;
  store: Store;
  state: StateDirectory;
  layout: Layout;
  /** `full`: trust nothing that is known of the volume. */
  verify: 'auto' | 'full';
  /** A device that holds no file system of ours may be given one. */
  format: boolean;
  progress: ProgressSink;
  signal?: AbortSignal | undefined;
}

/** What was done; the keys are those that `apply --json` prints. */
export interface ApplyResult {
  image: string;
  digest: string;
  from: string | null;
  scan: ScanKind;
  entries: { added: number; removed: number; changed: number; unchanged: number };
  bytesFetched: number;
  bytesWritten: number;
  blocksWritten: number | null;
  generated: string[];
  seconds: StageSeconds;
}

/**
 * Makes the file system on a device exactly an image. The device is open exclusively all the while, but when its
 * file system is mounted by this function itself, with no mount point. Nothing is written before all that is
 * needed is there and verified. When it is interrupted, whenever that is, the volume counts as doubtful, and the
 * next run repairs it.
 */
export async function applyImage(request: ApplyRequest): Promise<ApplyResult> {
  const clock = new StageClock();
  const image = await openImage(request);
  const device = await openDevice(request.device, { write: true, signal: request.signal });
  try {
    return await new Application(request, device, image, clock).run();
  } finally {
    await device.file.close();
  }
}

/** The image that is wanted, its index read. */
interface WantedImage {
  manifest: ManifestReader;
  indexBytes: Buffer;
  digest: Buffer;
}

async function openImage({ image, store }: ApplyRequest): Promise<WantedImage> {
  const digest = Buffer.from(image.digest, 'hex');
  const indexBytes = await store.read(digest, MAX_INDEX_BYTES);
  const index = decodeIndex(indexBytes);
  const page = (number: number): Promise<Buffer> => store.read(index.pages[number]!.digest, MAX_PAGE_BYTES);
  return { manifest: new ManifestReader(index, { page }, store.limits), indexBytes, digest };
}

class Application {
  readonly #request: ApplyRequest;
  readonly #device: BlockDevice;
  readonly #image: WantedImage;
  readonly #clock: StageClock;
  #writes: WriteWatch | undefined;
  #bytesFetched = 0;

  constructor(request: ApplyRequest, device: BlockDevice, image: WantedImage, clock: StageClock) {
    this.#request = request;
    this.#device = device;
    this.#image = image;
    this.#clock = clock;
  }

  async run(): Promise<ApplyResult> {
    try {
      this.#checkLayout();
      const current = await this.#look();
      try {
        this.#clock.enter('plan');
        const difference = await differenceOf(current.tree.manifest, this.#image.manifest, this.#request);
        if (difference.changes.length === 0) await this.#confirm(current);
        else await this.#patch(current, difference);
        return await this.#result(current, difference);
      } finally {
        await current.close();
      }
    } finally {
      await this.#writes?.stop();
    }
  }

  #checkLayout(): void {
    if (this.#request.layout !== 'whole') {
      throw new ImageUnpackerError(
        'UNSUPPORTED',
        'There is no layout but whole in this version; say --layout whole',
      );
    }
  }

  /** Finds out what is on the device; nothing is where a file system has yet to be made. */
  async #look(): Promise<CurrentTree> {
    this.#clock.enter('scan');
    const { signal, format } = this.#request;
    const content = await probeDevice(this.#device, signal);
    checkMayFormat(this.#device, content, format);
    if (content.kind !== 'ours') return noTree();
    const beforeWrite = (): Promise<void> => this.#watchWrites();
    return currentTree(this.#device, content.superblock, { ...this.#request, beforeWrite });
  }

  /** The volume is the image already: what was found out about it is remembered. */
  async #confirm(current: CurrentTree): Promise<void> {
    this.#clock.enter('settle');
    const { record } = current;
    const image = this.#imageReference();
    if (current.scan === 'none') {
      if (record!.state!.image.name !== image.name) await endWork(record!, { ...record!.state!, image });
      return;
    }
    await this.#remember(current, record!, [], []);
  }

  /** Makes the volume the image. */
  async #patch(current: CurrentTree, difference: Difference): Promise<void> {
    await this.#checkRoom(current, difference);
    const { plan, objects } = await preparePatch(
      {
        device: this.#device,
        store: this.#request.store,
        current,
        want: this.#image.manifest,
        difference,
      },
      { ...this.#request, clock: this.#clock },
    );
    this.#bytesFetched = objects.bytesFetched;
    try {
      this.#clock.enter('apply');
      const record = current.record ?? (await this.#format());
      await addSparseForms(record.directory, objects.sparse);
      await this.#watchWrites();
      await beginWork(record, {
        from: current.from,
        to: this.#imageReference(),
        paths: [...new Set([...difference.changes.map(({ path }) => path), ...plan.touched].map(keyOf))],
      });
      const rows = await patchVolume(this.#device, plan, { ...this.#request, objects: objects.directory });
      this.#clock.enter('settle');
      await Promise.all([this.#writes?.stop(), this.#remember(current, record, plan.touched, rows)]);
    } finally {
      await objects.close();
    }
  }

  /** Checks that the file system can hold what is wanted, and has room for it. */
  async #checkRoom(current: CurrentTree, { changes }: Difference): Promise<void> {
    const want = this.#image.manifest.index;
    const superblock = current.record === undefined ? undefined : await checkedSuperblock(this.#device);
    const check = new Ext4Check(superblock?.limits);
    for (const change of changes) check.add(change.want);
    check.finish(this.#request.image.name);
    if (superblock === undefined) shapeFor(this.#device, want);
    else checkRoom(this.#device, superblock, current.tree.manifest.index, want, changes);
  }

  async #format(): Promise<VolumeRecord> {
    const { image, layout, progress, signal, state } = this.#request;
    const step = progress.step('Making the file system');
    try {
      const identity = volumeIdentity(parseImageName(image.name).stream, layout);
      const zeroed = await zeroDevice(this.#device);
      await this.#watchWrites();
      const shape = shapeFor(this.#device, this.#image.manifest.index);
      await makeFileSystem(this.#device, identity, shape, zeroed, { signal });
    } finally {
      step.end();
    }
    return findRecord(state, await checkedSuperblock(this.#device));
  }

  async #remember(
    current: CurrentTree,
    record: VolumeRecord,
    touched: readonly Buffer[],
    rows: readonly InodeRow[],
  ): Promise<void> {
    const { manifest, indexBytes, digest } = this.#image;
    const change = {
      have: current.tree,
      stored: current.stored,
      want: manifest,
      wantDigest: digest,
      wantIndexBytes: indexBytes,
      touched,
      rows,
    };
    const { fingerprint } = await checkedSuperblock(this.#device);
    const facts = { image: this.#imageReference(), layout: this.#request.layout, fingerprint };
    await rememberTree(record, await nextTree(change, {}), facts);
  }

  async #watchWrites(): Promise<void> {
    this.#writes ??= await WriteWatch.start(this.#request.device);
  }

  #imageReference(): ImageReference {
    const { name, digest } = this.#request.image;
    return { name, digest };
  }

  async #result(current: CurrentTree, { changes }: Difference): Promise<ApplyResult> {
    const written: Written = this.#writes === undefined ? { bytes: 0, blocks: 0 } : await this.#writes.stop();
    const added = changes.filter(({ have }) => have === undefined).length;
    const removed = changes.filter(({ want }) => want === undefined).length;
    const changed = changes.length - added - removed;
    const unchanged = this.#image.manifest.index.entries - added - changed;
    return {
      image: this.#request.image.name,
      digest: this.#request.image.digest,
      from: current.from?.name ?? null,
      scan: current.scan,
      entries: { added, removed, changed, unchanged },
      bytesFetched: this.#bytesFetched,
      bytesWritten: written.bytes,
      blocksWritten: written.blocks,
      generated: [],
      seconds: this.#clock.seconds(),
    };
  }
}
