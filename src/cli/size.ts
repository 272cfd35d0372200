import { ImageUnpackerError } from '../image/error.js';

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

/** The bytes of a size as people write it: `8GiB`, `512 MiB`, `1073741824`. Throws `USAGE`. */
export function parseSize(text: string): number {
  const [, count, unit = ''] = /^(\d{1,15}) ?([KMGT]iB)?$/.exec(text) ?? [];
  const bytes = Number(count) * UNITS[unit]!;
  if (count === undefined || bytes === 0 || !Number.isSafeInteger(bytes)) {
    throw new ImageUnpackerError('USAGE', `"${text}" is no size; write one like 8GiB, 512MiB or 1073741824`);
  }
  return bytes;
}
