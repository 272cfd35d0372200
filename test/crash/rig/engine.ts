import type { ChildProcess } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ProgressSink } from '../../../src/image/progress.js';
import { unseal } from '../../../src/image/sealed.js';
import type { Store } from '../../../src/store/store.js';
import type { ApplyResult } from '../../../src/volume/apply-result.js';
import { applyImage } from '../../../src/volume/apply.js';
import { captureVolume } from '../../../src/volume/capture.js';
import type { CheckResult } from '../../../src/volume/check.js';
import { checkVolume } from '../../../src/volume/check.js';
import { openDevice } from '../../../src/volume/device.js';
import { requireClean } from '../../../src/volume/require-clean.js';
import { StateDirectory } from '../../../src/volume/state-directory.js';
import { readSuperblock } from '../../../src/volume/superblock.js';
import type { VolumeCondition } from '../../../src/volume/volume-condition.js';
import { volumeCondition } from '../../../src/volume/volume-condition.js';
import type { Boot } from './machine.js';
import type { Revision } from './revisions.js';

/** Where Node tells of each process that it starts. */
const PROGRAMS = 'child_process';

/** What an apply did, and what it cost. */
export interface Applied {
  result: ApplyResult;
  /** The steps that were begun, as the progress tells it, and the programs that were run. */
  steps: string[];
  programs: string[];
  bytesRead: number;
}

/** The engine on a machine that is switched on, as the commands use it. */
export class Engine {
  readonly #boot: Boot;
  readonly #store: Store;

  constructor(boot: Boot, store: Store) {
    this.#boot = boot;
    this.#store = store;
  }

  async apply({ record }: Revision, signal?: AbortSignal): Promise<Applied> {
    const steps: string[] = [];
    const programs: string[] = [];
    const progress: ProgressSink = {
      step: what => {
        steps.push(what);
        return { update: () => undefined, end: () => undefined };
      },
    };
    const onProgram = (message: unknown): void => {
      const { process } = message as { process: ChildProcess };
      process.once('spawn', () => programs.push(process.spawnfile));
    };
    const before = this.#boot.bytesRead();
    const { device } = this.#boot;
    subscribe(PROGRAMS, onProgram);
    try {
      const result = await this.#withState(state =>
        applyImage({
          ...{ device, image: record, store: this.#store, state, progress, signal },
          ...{ layout: 'whole', verify: 'auto', format: true },
        }),
      );
      return { result, steps, programs, bytesRead: this.#boot.bytesRead() - before };
    } finally {
      unsubscribe(PROGRAMS, onProgram);
    }
  }

  async condition(): Promise<VolumeCondition> {
    return this.#withState(async state => {
      const device = await openDevice(this.#boot.device, { write: false });
      try {
        return await volumeCondition(state, await readSuperblock(device.file));
      } finally {
        await device.file.close();
      }
    });
  }

  /** Tries to capture the volume to the file `out`. */
  async capture(out: string): Promise<void> {
    await this.#withState(state =>
      captureVolume({ device: this.#boot.device, out, guard: device => requireClean(state, device) }),
    );
  }

  async check({ entries }: Revision): Promise<CheckResult> {
    return checkVolume({ device: this.#boot.device, wanted: entries });
  }

  /** Reads every file of the state directory that has a seal. Throws at one that is not whole. */
  checkStateFiles(): void {
    const { stateDirectory } = this.#boot;
    if (!existsSync(stateDirectory)) return;
    for (const name of readdirSync(stateDirectory, { recursive: true, encoding: 'utf8' })) {
      if (!/(^|\/)(state|journal|agent)$/.test(name)) continue;
      const path = join(stateDirectory, name);
      unseal(readFileSync(path), path, 'STATE_DAMAGED');
    }
  }

  async #withState<T>(work: (state: StateDirectory) => Promise<T>): Promise<T> {
    const state = await StateDirectory.open(this.#boot.stateDirectory);
    try {
      return await work(state);
    } finally {
      await state.close();
    }
  }
}
