import type { StreamStatus, UnpackerProgress } from '../rpc/unpacker.js';
import type { StreamRecord } from './agent-state.js';
import type { ConditionReader } from './stream-condition.js';
import { fileSize, nameOf, placeOf } from './stream-volume.js';

/** How it stands with a stream. `progress` is that of the work on it, null when there is none. */
export async function streamStatus(
  record: StreamRecord,
  progress: UnpackerProgress | null,
  conditions: ConditionReader,
): Promise<StreamStatus> {
  const { stream, volume, lastUsed, error } = record;
  const base = { stream, image: null, digest: null, progress, error, lastUsed };
  const place = await placeOf(volume, null).catch(() => undefined);
  const size = place?.kind === 'file' ? await fileSize(place.path) : place?.size;
  const device = place?.path ?? nameOf(volume);
  if (progress !== null) return { ...base, state: 'busy', device, size: size ?? null };
  if (place === undefined || size === undefined) return { ...base, state: 'absent', device, size: null };
  try {
    const { state, image, digest } = await conditions.read(stream, place.path);
    return { ...base, state, image, digest, device, size };
  } catch {
    // It went away, or cannot be read: there is no volume that could be used.
    return { ...base, state: 'absent', device, size };
  }
}
