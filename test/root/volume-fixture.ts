import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { Entry } from '../../src/image/entry.js';
import { silentProgress } from '../../src/image/progress.js';
import type { LocalStore } from '../../src/store/local/store.js';
import { openLocalStore } from '../../src/store/local/store.js';
import type { ApplyRequest } from '../../src/volume/apply.js';
import type { ApplyResult } from '../../src/volume/apply-result.js';
import { applyImage } from '../../src/volume/apply.js';
import type { CaptureResult } from '../../src/volume/capture.js';
import { captureVolume } from '../../src/volume/capture.js';
import type { CheckResult, WantedContent } from '../../src/volume/check.js';
import { checkVolume } from '../../src/volume/check.js';
import type { BlockDevice } from '../../src/volume/device.js';
import type { OpenVolume } from '../../src/volume/open-volume.js';
import type { VolumeRequest } from '../../src/volume/plan-volume.js';
import { planVolume } from '../../src/volume/plan-volume.js';
import type { CleanVolume } from '../../src/volume/require-clean.js';
import { requireClean } from '../../src/volume/require-clean.js';
import { StateDirectory } from '../../src/volume/state-directory.js';
import { storeImage } from '../model/stored-image.js';
import { attach, run, temporaryDirectory } from './ext4-fixture.js';

/** A store, a state directory and a blank device, gone when the test ends. */
export class VolumeFixture {
  readonly directory: string;
  readonly file: string;
  readonly device: string;
  readonly store: LocalStore;
  readonly stateDirectory: string;
  #images = 0;

  private constructor(directory: string, file: string, device: string, store: LocalStore) {
    this.directory = directory;
    this.file = file;
    this.device = device;
    this.store = store;
    this.stateDirectory = join(directory, 'state');
  }

  static async make(t: ExecutionContext, size = 64 << 20): Promise<VolumeFixture> {
    const directory = temporaryDirectory(t);
    const file = join(directory, 'device');
    writeFileSync(file, '');
    truncateSync(file, size);
    const store = await openLocalStore(join(directory, 'store'), { create: true });
    t.teardown(() => store.close());
    const device = attach(t, file);
    // Partitions that the kernel was told of would be those of the next file.
    t.teardown(() => spawnSync('partx', ['--delete', device]));
    return new VolumeFixture(directory, file, device, store);
  }

  /** Stores a tree as an image, and returns its name. */
  async image(entries: readonly Entry[]): Promise<string> {
    return (await storeImage(this.store, `test/volume/${String(++this.#images)}`, entries)).name;
  }

  async apply(image: string, more: Partial<ApplyRequest> = {}): Promise<ApplyResult> {
    const state = await StateDirectory.open(this.stateDirectory);
    try {
      return await applyImage({
        device: this.device,
        image: await this.store.image(image),
        store: this.store,
        state,
        verify: 'auto',
        format: true,
        progress: silentProgress,
        ...more,
      });
    } finally {
      await state.close();
    }
  }

  async check(wanted: readonly Entry[]): Promise<CheckResult> {
    return checkVolume({ device: this.device, wanted });
  }

  /** Checks the volume as the command does: what the layout adds as well. */
  async checkImage(image: string, more: Partial<VolumeRequest> = {}): Promise<CheckResult> {
    const state = await StateDirectory.open(this.stateDirectory);
    try {
      const request = { image: await this.store.image(image), store: this.store, state, ...more };
      const wanted = async (volume: OpenVolume): Promise<WantedContent> => {
        const { tree, area, names } = await planVolume(request, volume);
        return { entries: tree.manifest.entries(), area, names };
      };
      return await checkVolume({ device: this.device, wanted });
    } finally {
      await state.close();
    }
  }

  /** Captures the disk to the file `out`. */
  async capture(out: string): Promise<CaptureResult> {
    const state = await StateDirectory.open(this.stateDirectory);
    try {
      const guard = (device: BlockDevice): Promise<CleanVolume> => requireClean(state, device);
      return await captureVolume({ device: this.device, out, guard });
    } finally {
      await state.close();
    }
  }

  /** Runs a command, with the path of the device in place of `DEVICE` in its parameters. */
  run(command: string, ...parameters: string[]): string {
    return run(command, ...parameters.map(each => each.replace('DEVICE', this.device)));
  }

  /** The digest of every byte of the device. */
  bytes(): string {
    run('blockdev', '--flushbufs', this.device);
    return createHash('sha256').update(readFileSync(this.file)).digest('hex');
  }

  /** Runs `work` with the volume mounted as anybody would. */
  async mounted<T>(options: string, work: (root: string) => T | Promise<T>): Promise<T> {
    const root = join(this.directory, 'mnt');
    run('mkdir', '-p', root);
    run('mount', '-o', options, this.device, root);
    try {
      return await work(root);
    } finally {
      run('umount', root);
    }
  }
}
