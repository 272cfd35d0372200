import { mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Data, TreeName } from './data/prepare.js';
import { tarOf, treeOf, unpackCommand } from './data/prepare.js';
import type { Listing } from './list-tree.js';
import { compareListings, listTree } from './list-tree.js';
import { runCommand, textOf } from './run-command.js';
import { copyFile, makeBlankFile, withDevice, withTree } from './volume.js';

/** Where the tools that need a place to mount a volume do so, seen by themselves only. */
const MOUNT_POINT = 'mounted';
const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/** The command of a program of ours. */
export function ours(
  program: 'ami-publisher' | 'imagetool' | 'image-unpacker' | 'imageserver',
  ...parameters: readonly string[]
): string[] {
  return [join(ROOT, 'bin', program), ...parameters];
}

/** How our tool is told to fill a blank device with one file system, as the peers do, whatever the image could boot. */
export const FORMAT_WHOLE = ['--format', '--layout', 'whole'];

/** A volume that our tool has filled, and what it knows of it. */
export interface OurVolume {
  file: string;
  state: string;
}

/** Where the suites work: what they need is made when it is first asked for, once, and removed in the end. */
export class Workshop {
  readonly data: Data;
  readonly signal: AbortSignal;
  readonly directory: string;
  readonly store: string;
  readonly #made = new Map<string, Promise<unknown>>();
  readonly #say: (text: string) => void;

  private constructor(data: Data, directory: string, signal: AbortSignal, say: (text: string) => void) {
    this.data = data;
    this.signal = signal;
    this.directory = directory;
    this.store = join(directory, 'store');
    this.#say = say;
  }

  static async open(data: Data, signal: AbortSignal, say: (text: string) => void): Promise<Workshop> {
    const directory = join(data.directory, `run-${String(process.pid)}`);
    await mkdir(join(directory, MOUNT_POINT), { recursive: true });
    return new Workshop(data, directory, signal, say);
  }

  async close(): Promise<void> {
    await rm(this.directory, { recursive: true });
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  /** The name of the image of a tree. */
  image(name: TreeName): Promise<string> {
    return this.#once(`image ${name}`, async () => {
      const image = `base/bench/${name}`;
      await this.build(image, tarOf(this.data, name), this.store);
      return image;
    });
  }

  /** So many streams, each with an image of the tree A. */
  streams(count: number): Promise<{ image: string; digest: string }[]> {
    return Promise.all(
      Array.from({ length: count }, (_, at) => this.#stream(`base/stream-${String(at + 1)}/A`)),
    );
  }

  #stream(image: string): Promise<{ image: string; digest: string }> {
    return this.#once(`image ${image}`, async () => {
      await this.build(image, tarOf(this.data, 'A'), this.store);
      const words = ours('imagetool', 'show', image, '--store', this.store, '--json');
      const { digest } = JSON.parse(await textOf(words, { signal: this.signal })) as { digest: string };
      return { image, digest };
    });
  }

  /** A directory with nothing in it. */
  async emptied(name: string): Promise<string> {
    const path = this.path(name);
    await rm(path, { recursive: true, force: true });
    await mkdir(path, { mode: 0o700 });
    return path;
  }

  /** Makes an image as our users do, times and all. */
  async build(image: string, source: string, store: string): Promise<void> {
    const words = ours('imagetool', 'build', image, '--from', source, '--store', store);
    await runCommand([...words, '--mtimes-from', 'none'], { signal: this.signal });
  }

  /** A volume that our tool has filled with a tree. Nobody changes it; see `withOurs`. */
  ourVolume(name: TreeName): Promise<OurVolume> {
    return this.#once(`our volume with ${name}`, async () => {
      const volume = { file: this.path(`ours-${name}`), state: this.path(`ours-${name}-state`) };
      await makeBlankFile(volume.file, this.data.volumeBytes);
      const image = await this.image(name);
      await withDevice(volume.file, this.signal, async device => {
        const words = ours('image-unpacker', 'apply', '--device', device, '--image', image, ...FORMAT_WHOLE);
        const places = ['--store', this.store, '--state-dir', volume.state];
        await runCommand([...words, ...places], { signal: this.signal });
      });
      return volume;
    });
  }

  /** A volume that mke2fs and tar have filled with a tree. Nobody changes it; see `withPeer`. */
  peerVolume(name: TreeName): Promise<string> {
    return this.#once(`a volume with ${name}`, async () => {
      const file = this.path(`peer-${name}`);
      await makeBlankFile(file, this.data.volumeBytes);
      await withDevice(file, this.signal, async device => {
        const environment = { ...this.environment(name), DEVICE: device };
        await runCommand(inShell(FILL), { signal: this.signal, environment });
      });
      return file;
    });
  }

  /** Does `work` with a copy of our volume, and of what is known of it. */
  async withOurs<T>(name: TreeName, work: (device: string, state: string) => Promise<T>): Promise<T> {
    const { file, state } = await this.ourVolume(name);
    const copies = { file: this.path('copy'), state: this.path('copy-state') };
    await copyFile(file, copies.file, this.signal);
    await rm(copies.state, { recursive: true, force: true });
    await runCommand(['cp', '--archive', state, copies.state], { signal: this.signal });
    return withDevice(copies.file, this.signal, device => work(device, copies.state));
  }

  /** Does `work` with a copy of a volume that is not ours. */
  async withPeer<T>(name: TreeName, work: (device: string) => Promise<T>): Promise<T> {
    const copy = this.path('copy');
    await copyFile(await this.peerVolume(name), copy, this.signal);
    return withDevice(copy, this.signal, work);
  }

  /** What the shell commands below go by, but for DEVICE. */
  environment(name: TreeName): Readonly<Record<string, string>> {
    return {
      TREE: treeOf(this.data, name),
      TAR: tarOf(this.data, name),
      MOUNT_POINT: this.path(MOUNT_POINT),
    };
  }

  /** In what the tree of a volume differs from a tree; `exact` if in nothing. Throws if it is damaged. */
  async compare(device: string, name: TreeName): Promise<string> {
    const want = this.#once(`list of ${name}`, () => this.#list(`${treeOf(this.data, name)}/`));
    return this.#compare(device, await want);
  }

  /** The same with the tree in a directory. */
  async compareWith(device: string, directory: string): Promise<string> {
    return this.#compare(device, await this.#list(`${directory}/`));
  }

  async #compare(device: string, want: Listing): Promise<string> {
    await runCommand(['e2fsck', '-fn', device], { signal: this.signal });
    return compareListings(want, await withTree(device, root => this.#list(root)));
  }

  #list(root: string): Promise<Listing> {
    return listTree(root, this.signal);
  }

  #once<T>(what: string, make: () => Promise<T>): Promise<T> {
    let made = this.#made.get(what) as Promise<T> | undefined;
    if (made === undefined) {
      this.#say(`making ${what}`);
      made = make();
      this.#made.set(what, made);
    }
    return made;
  }
}

/** Nobody else sees what such a command mounts, and its mounts go when it ends, however it ends. */
export function inShell(script: string): string[] {
  return ['unshare', '--mount', 'sh', '-c', script];
}

export const MOUNT = 'mount -o noatime "$DEVICE" "$MOUNT_POINT"';
export const UNMOUNT = 'sync -f "$MOUNT_POINT" && umount "$MOUNT_POINT"';
const MAKE_FILE_SYSTEM = 'mkfs.ext4 -q -F -b 4096 "$DEVICE"';
const UNTAR = unpackCommand('"$TAR"', '"$MOUNT_POINT"').join(' ').replace('include=*', "include='*'");
/** Makes a file system anew and unpacks a tree into it. */
export const FILL = `${MAKE_FILE_SYSTEM} && ${MOUNT} && ${UNTAR} && ${UNMOUNT}`;
