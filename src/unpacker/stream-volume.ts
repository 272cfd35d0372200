import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { ImageUnpackerError } from '../image/error.js';
import { removeDurably } from '../volume/state-directory.js';
import type { StreamVolume } from './agent-state.js';
import { deviceOf } from './block-devices.js';
import type { VolumePlace, VolumeSize } from './work.js';

/** What a file's name may have at most is 255 bytes. */
const LONGEST_NAME = 200;

/** The volumes that an agent makes itself. */
export interface OwnVolumes {
  /** Where their files are. */
  directory: string;
  size: VolumeSize;
}

/** The volume of its own that a stream is to have. Its file may be there from an earlier time. */
export function ownVolume(stream: string, { directory }: OwnVolumes): StreamVolume {
  const readable = stream.replaceAll('/', '%2F');
  const name = readable.length <= LONGEST_NAME ? readable : createHash('sha256').update(stream).digest('hex');
  return { kind: 'file', path: join(directory, `${name}.raw`), made: false };
}

/**
 * Where the volume of a stream is now. Throws `DEVICE_MISSING` when its device is not there, `VOLUME_DIFFERENT` when
 * the device is not as it was pinned.
 */
export async function placeOf(volume: StreamVolume, make: VolumeSize | null): Promise<VolumePlace> {
  if (volume.kind === 'file') {
    const least = make?.kind === 'fixed' ? make.bytes : null;
    return { kind: 'file', path: volume.path, make: volume.made ? null : make, least };
  }
  const { path, size } = await deviceOf(volume.id);
  // One that has become larger is still the one; the next unpack makes use of that.
  if (size >= volume.size) return { kind: 'device', path, size };
  const was = `it was pinned with ${String(volume.size)} bytes and has ${String(size)} now`;
  const remedy = 'if it is the right one, forget the stream and pin it again';
  throw new ImageUnpackerError('VOLUME_DIFFERENT', `${path} is not as it was: ${was}; ${remedy}`, {
    device: path,
  });
}

/** What the volume of a stream is called, be it there or not. */
export function nameOf(volume: StreamVolume): string {
  return volume.kind === 'file' ? volume.path : volume.id.name;
}

/** The size of a file, undefined when it is not there. */
export async function fileSize(path: string): Promise<number | undefined> {
  return stat(path).then(
    ({ size }) => size,
    () => undefined,
  );
}

/** The error of a volume whose file is not there any more. */
export function missingFile(path: string): ImageUnpackerError {
  const what = `The volume ${path} is not there; mount what it was on`;
  const otherwise = 'or forget the stream, and the next unpack makes a new one';
  return new ImageUnpackerError('DEVICE_MISSING', `${what}, ${otherwise}`, { path });
}

/** Removes the file of a volume for good. */
export async function removeVolumeFile(path: string): Promise<void> {
  try {
    await removeDurably(path);
  } catch (reason) {
    throw ImageUnpackerError.from(reason, `Cannot remove the volume ${basename(path)}`, { path });
  }
}
