import { isDeepStrictEqual } from 'node:util';
import { Ext4Check } from '../image/ext4-limits.js';
import { ImageUnpackerError } from '../image/error.js';
import { keyOf } from '../image/inode-match.js';
import type { Difference } from '../image/plan.js';
import type { ProgressSink } from '../image/progress.js';
import type { ApplyResult } from './apply-result.js';
import { applyResult } from './apply-result.js';
import { checkRoom, shapeFor } from './capacity.js';
import type { CurrentTree } from './current-tree.js';
import { checkedSuperblock, currentTree, findRecord, noTree } from './current-tree.js';
import type { BlockDevice } from './device.js';
import { differenceOf } from './difference.js';
import { areaDigest, extentsOf } from './disk/boot-area.js';
import { growFileSystem } from './grow-file-system.js';
import { makeFileSystem } from './make-file-system.js';
import { inodesInUse, inodesMore, isInodesAstray, requireInodes } from './inode-count.js';
import type { FinishTree } from './next-tree.js';
import { nextTree } from './next-tree.js';
import { OpenVolume } from './open-volume.js';
import { patchVolume } from './patch-volume.js';
import { preparePatch } from './prepare-patch.js';
import { checkMayFormat } from './probe.js';
import type { VolumeRequest, WantedVolume } from './plan-volume.js';
import { planVolume } from './plan-volume.js';
import type { TreeToRemember, VolumeFacts } from './remember.js';
import { rememberTree } from './remember.js';
import { scrubDisk } from './scrub-disk.js';
import { settleDisk } from './settle-disk.js';
import { addSparseForms } from './sparse-record.js';
import { StageClock } from './stage-clock.js';
import type { StateDirectory } from './state-directory.js';
import { isDamagedState } from './state-directory.js';
import type { ImageReference, VolumeRecord } from './volume-record.js';
import { beginWork, endWork } from './volume-record.js';
import { WriteTally } from './write-tally.js';

/** What to make of a device. */
export interface ApplyRequest extends VolumeRequest {
  device: string;
  state: StateDirectory;
  /** `full`: trust nothing that is known of the volume. */
  verify: 'auto' | 'full';
  /** Whether a device that holds no volume of ours may be given one: any, or only one that holds nothing. */
  format: boolean | 'blank';
  /** Whether nothing is to be left of what was on the device before: what is in no use is zeros then. */
  scrub?: boolean | undefined;
  progress: ProgressSink;
  /** Whether the kernel is to make nodes for the partitions of a disk, where it can. Default: yes. */
  nodes?: boolean | undefined;
}

/**
 * Makes the file system on a device exactly an image. The device is open exclusively all the while, but when its
 * file system is mounted by this function itself, with no mount point. Nothing is written before all that is
 * needed is there and verified. When it is interrupted, whenever that is, the volume counts as doubtful, and the
 * next run repairs it.
 */
export async function applyImage(request: ApplyRequest): Promise<ApplyResult> {
  const account: Account = { clock: new StageClock(), writes: new WriteTally(request.device) };
  try {
    return await applyOnce(request, account).catch((reason: unknown) => {
      // Then the work counts as interrupted, and is repaired.
      if (isInodesAstray(reason)) return applyOnce(request, account);
      if (request.verify === 'full' || !isDamagedState(reason)) throw reason;
      // Pages of what is known are read when they are needed. Without them all of the volume is read.
      return applyOnce({ ...request, verify: 'full' }, account);
    });
  } catch (reason) {
    const { image, device } = request;
    throw ImageUnpackerError.from(reason, `Cannot apply ${image.name} to ${device}`, { device });
  } finally {
    await account.writes.end();
  }
}

/** What the work costs, in however many attempts it is done. */
interface Account {
  clock: StageClock;
  writes: WriteTally;
}

async function applyOnce(request: ApplyRequest, account: Account): Promise<ApplyResult> {
  const { device, signal, nodes } = request;
  const volume = await OpenVolume.open({ device, write: true, signal, nodes });
  try {
    checkMayFormat(device, volume.content, request.format);
    const wanted = await planVolume(request, volume);
    return await new Application(request, volume, wanted, account).run();
  } finally {
    await volume.close();
  }
}

class Application {
  readonly #request: ApplyRequest;
  readonly #volume: OpenVolume;
  readonly #wanted: WantedVolume;
  readonly #clock: StageClock;
  readonly #writes: WriteTally;
  #bytesFetched = 0;

  constructor(request: ApplyRequest, volume: OpenVolume, wanted: WantedVolume, { clock, writes }: Account) {
    this.#request = request;
    this.#volume = volume;
    this.#wanted = wanted;
    this.#clock = clock;
    this.#writes = writes;
  }

  async run(): Promise<ApplyResult> {
    const current = await this.#look();
    try {
      const grown = await this.#grow(current);
      this.#clock.enter('plan');
      const { manifest } = this.#wanted.tree;
      const difference = await differenceOf(current.tree.manifest, manifest, this.#request);
      if (difference.changes.length > 0) await this.#patch(current, difference);
      else await this.#confirm(current, grown);
      await this.#writes.end();
      return applyResult(difference, {
        image: this.#imageReference(),
        wanted: this.#wanted,
        current,
        volume: this.#volume,
        bytesFetched: this.#bytesFetched,
        written: this.#writes.written,
        scrubbed: this.#request.scrub === true,
        seconds: this.#clock.seconds(),
      });
    } finally {
      await current.close();
    }
  }

  get #device(): BlockDevice {
    return this.#volume.device;
  }

  /** Finds out what is on the device; nothing is where a file system has yet to be made. */
  async #look(): Promise<CurrentTree> {
    this.#clock.enter('scan');
    const { content } = this.#volume;
    if (content.kind !== 'ours') return noTree();
    const beforeWrite = (): Promise<void> => this.#writes.begin();
    return currentTree(this.#device, content.superblock, { ...this.#request, beforeWrite });
  }

  /** Makes the volume as large as its device, if that has grown. Resolves to whether it had. */
  async #grow({ record, from }: CurrentTree): Promise<boolean> {
    if (record === undefined || !this.#volume.hasGrown) return false;
    await this.#writes.begin();
    await beginWork(record, { from, to: from ?? this.#imageReference(), paths: [] });
    await this.#volume.growPartition();
    await growFileSystem(this.#device, this.#request);
    return true;
  }

  /** The tree is the image already: what was found out about the volume, and what was done to it, is remembered. */
  async #confirm(current: CurrentTree, grown: boolean): Promise<void> {
    this.#clock.enter('settle');
    const record = current.record!;
    const settled = await this.#settleArea(record, current.from);
    const scrubbed = await this.#scrub(record, current.from);
    if (grown || settled || scrubbed || current.scan !== 'none') {
      await this.#remember(record, (await this.#nextTree(current, []))([]));
      return;
    }
    const known = record.state!;
    const now = { ...known, image: this.#imageReference(), ...this.#areaFacts() };
    if (!isDeepStrictEqual(known, now)) await endWork(record, now);
  }

  /** Makes right what lies beside the tree: what the volume is called, boot loaders. Resolves to whether it was not. */
  async #settleArea(record: VolumeRecord, from: ImageReference | null): Promise<boolean> {
    const begin = (): Promise<void> => this.#beginWrites(record, from);
    return settleDisk(this.#volume, this.#wanted, { signal: this.#request.signal, begin });
  }

  /** Zeroes what is in no use, if that is asked for. Resolves to whether anything else was there. */
  async #scrub(record: VolumeRecord, from: ImageReference | null): Promise<boolean> {
    if (this.#request.scrub !== true) return false;
    const begin = (): Promise<void> => this.#beginWrites(record, from);
    return scrubDisk(this.#volume, this.#areaFacts().disk, { ...this.#request, begin });
  }

  /** Says that the volume is written to, beside its tree. */
  async #beginWrites(record: VolumeRecord, from: ImageReference | null): Promise<void> {
    await this.#writes.begin();
    if (record.journal === undefined)
      await beginWork(record, { from, to: this.#imageReference(), paths: [] });
  }

  /** Makes the volume the image. */
  async #patch(current: CurrentTree, difference: Difference): Promise<void> {
    await this.#checkRoom(current, difference);
    // The kernel takes its time for this, in which objects are read. What becomes of it is asked before the first write.
    if (current.record !== undefined) this.#writes.begin().catch(() => undefined);
    const { contents, tree } = this.#wanted;
    const { plan, objects } = await preparePatch(
      { device: this.#device, store: this.#request.store, current, want: tree.manifest, difference },
      { ...this.#request, clock: this.#clock, contents },
    );
    this.#bytesFetched = objects.bytesFetched;
    try {
      this.#clock.enter('apply');
      const record = current.record ?? (await this.#format(difference));
      await addSparseForms(record.directory, objects.sparse);
      await this.#writes.begin();
      await beginWork(record, {
        from: current.from,
        to: this.#imageReference(),
        paths: [...new Set([...difference.changes.map(({ path }) => path), ...plan.touched].map(keyOf))],
      });
      const before = inodesInUse(await checkedSuperblock(this.#device));
      const options = { ...this.#request, objects: objects.directory, contents };
      // While other threads write.
      const next = this.#nextTree(current, plan.touched);
      next.catch(() => undefined);
      const rows = await patchVolume(this.#device, plan, options);
      requireInodes(
        this.#device,
        await checkedSuperblock(this.#device),
        before + inodesMore(difference.changes),
      );
      this.#clock.enter('settle');
      await this.#settleArea(record, current.from);
      await this.#scrub(record, current.from);
      await Promise.all([this.#writes.end(), this.#remember(record, (await next)(rows))]);
    } finally {
      await objects.close();
    }
  }

  /** Checks that the file system can hold what is wanted, and has room for it. */
  async #checkRoom(current: CurrentTree, { changes }: Difference): Promise<void> {
    const want = this.#wanted.tree.manifest.index;
    const superblock = current.record === undefined ? undefined : await checkedSuperblock(this.#device);
    const check = new Ext4Check(superblock?.limits);
    for (const change of changes) check.add(change.want);
    check.finish(this.#request.image.name);
    if (superblock === undefined) shapeFor(this.#volume.space(this.#wanted.newDisk), want, changes);
    else checkRoom(this.#device, superblock, current.tree.manifest.index, want, changes);
  }

  async #format({ changes }: Difference): Promise<VolumeRecord> {
    const { progress, signal, state } = this.#request;
    const step = progress.step('Making the file system');
    try {
      const { identity, newDisk } = this.#wanted;
      const zeroed = await this.#volume.format(newDisk);
      await this.#writes.begin();
      const shape = shapeFor(this.#device, this.#wanted.tree.manifest.index, changes);
      await makeFileSystem(this.#device, identity, shape, zeroed, { signal });
    } finally {
      step.end();
    }
    return findRecord(state, await checkedSuperblock(this.#device));
  }

  #nextTree(current: CurrentTree, touched: readonly Buffer[]): Promise<FinishTree> {
    const { manifest, indexBytes, digest } = this.#wanted.tree;
    const change = {
      have: current.tree,
      stored: current.stored,
      want: manifest,
      wantDigest: digest,
      wantIndexBytes: indexBytes,
      touched,
    };
    return nextTree(change, {});
  }

  async #remember(record: VolumeRecord, tree: TreeToRemember): Promise<void> {
    const { fingerprint } = await checkedSuperblock(this.#device);
    const { layout } = this.#wanted;
    const facts = { image: this.#imageReference(), layout, fingerprint, ...this.#areaFacts() };
    await rememberTree(record, tree, facts);
  }

  /** What is remembered of a disk beside its file system. */
  #areaFacts(): Pick<VolumeFacts, 'disk'> {
    const { disk } = this.#volume;
    if (disk === undefined) return {};
    const area = this.#wanted.area(disk.table);
    return { disk: { extents: extentsOf(area), digest: areaDigest(area), boot: this.#wanted.boot } };
  }

  #imageReference(): ImageReference {
    const { name, digest } = this.#request.image;
    return { name, digest };
  }
}
