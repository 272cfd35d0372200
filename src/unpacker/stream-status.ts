import { ImageUnpackerError } from '../image/error.js';
import type { StreamStatus, UnpackerProgress } from '../rpc/unpacker.js';
import type { StreamRecord } from './agent-state.js';
import type { ConditionReader } from './stream-condition.js';
import { fileSize, missingFile, nameOf, placeOf } from './stream-volume.js';

/** How it stands with a stream. `progress` is that of the work on it, null when there is none. */
export async function streamStatus(
  record: StreamRecord,
  progress: UnpackerProgress | null,
  conditions: ConditionReader,
): Promise<StreamStatus> {
  const { stream, volume, lastUsed, error } = record;
  const where: Pick<StreamStatus, 'device' | 'size'> = { device: nameOf(volume), size: null };
  const base = { stream, image: null, digest: null, progress, error, lastUsed };
  try {
    const place = await placeOf(volume, null);
    where.device = place.path;
    where.size = place.kind === 'file' ? ((await fileSize(place.path)) ?? null) : place.size;
    if (progress !== null) return { ...base, ...where, state: 'busy' };
    if (where.size === null) throw missingFile(place.path);
    const { state, image, digest } = await conditions.read(stream, place.path);
    return { ...base, ...where, state, image, digest };
  } catch (reason) {
    if (progress !== null) return { ...base, ...where, state: 'busy' };
    const { code, message } = ImageUnpackerError.from(reason, `Cannot read ${where.device}`);
    return { ...base, ...where, state: 'absent', error: { code, message } };
  }
}
