import type {
  CallOptions,
  DeviceStatus,
  DiskCapture,
  StreamStatus,
  Unpacker,
  UnpackerStatus,
  UnpackRequest,
  UnpackResult,
} from '../../src/rpc/unpacker.js';
import type { ModelDisk } from './disk.js';

/** An unpacker in this process, whose disks are given. */
export class FakeUnpacker implements Unpacker {
  /** What was asked of it: `unpack IMAGE`, `capture STREAM`, `close capture`, `close`. */
  readonly calls: string[] = [];
  /** The blocks that were read. */
  readonly read: number[] = [];
  /** Called before each block is handed out. */
  beforeBlock: (number: number) => Promise<void> | void = () => undefined;
  readonly #disks: ReadonlyMap<string, ModelDisk>;

  /** `disks` by the digests of images. */
  constructor(disks: ReadonlyMap<string, ModelDisk>) {
    this.#disks = disks;
  }

  async unpack({ image, digest }: UnpackRequest, { onProgress }: CallOptions = {}): Promise<UnpackResult> {
    this.calls.push(`unpack ${image}`);
    if (!this.#disks.has(digest)) throw new Error(`no disk for ${image}`);
    onProgress?.({ stream: 'any', step: 'Patching', done: 1, total: 2, unit: 'entries' });
    return Promise.resolve({
      image,
      digest,
      from: null,
      scan: 'none',
      entries: { added: 0, removed: 0, changed: 0, unchanged: 0 },
      bytesFetched: 0,
      bytesWritten: 0,
      blocksWritten: 3,
      generated: [],
      boot: { architecture: 'x86_64', bootMode: 'uefi-preferred', rootDevice: '/dev/xvda', kernels: ['6.1'] },
      warnings: [],
      scrubbed: false,
      seconds: {},
    });
  }

  async capture(stream: string, digest: string, { signal }: CallOptions = {}): Promise<DiskCapture> {
    this.calls.push(`capture ${stream}`);
    const disk = this.#disks.get(digest)!;
    const { read, calls } = this;
    const before = (number: number): Promise<void> | void => this.beforeBlock(number);
    return Promise.resolve({
      map: disk.map,
      async *blocks(numbers: readonly number[]) {
        for (const number of numbers) {
          await before(number);
          signal?.throwIfAborted();
          read.push(number);
          yield disk.block(number);
        }
      },
      close: () => {
        calls.push('close capture');
        return Promise.resolve();
      },
    });
  }

  status(): Promise<UnpackerStatus> {
    return Promise.resolve({ version: '0', startedAt: '', lastUsed: null, streams: [] });
  }

  devices(): Promise<DeviceStatus[]> {
    return Promise.resolve([]);
  }

  pin(): Promise<StreamStatus> {
    return Promise.reject(new Error('it has no devices'));
  }

  forget(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.calls.push('close');
    return Promise.resolve();
  }
}
