import { arch } from 'node:os';
import { ImageUnpackerError } from '../../image/error.js';

/** What an image is made for, as OCI calls it (the names are Go's). */
export interface Platform {
  os: string;
  architecture: string;
  variant?: string | undefined;
}

const ARCHITECTURES: Readonly<Record<string, string>> = {
  x64: 'amd64',
  ia32: '386',
  ppc64: 'ppc64le',
  mipsel: 'mipsle',
};
const PART = /^[a-z0-9][a-z0-9._-]{0,63}$/;
/** What every processor of that architecture is. */
const PLAIN_VARIANTS: Readonly<Record<string, string>> = { arm64: 'v8', amd64: 'v1' };

/** What this machine runs. */
export function hostPlatform(): Platform {
  return { os: 'linux', architecture: ARCHITECTURES[arch()] ?? arch() };
}

/** Reads `OS/ARCHITECTURE[/VARIANT]`. Throws `USAGE`. */
export function parsePlatform(text: string): Platform {
  const [os, architecture, variant, ...more] = text.split('/');
  const isGood = [os, architecture, variant ?? 'v1'].every(part => part !== undefined && PART.test(part));
  if (!isGood || more.length > 0) {
    const message = `${JSON.stringify(text)} is no platform: it is OS/ARCHITECTURE[/VARIANT], such as linux/arm64`;
    throw new ImageUnpackerError('USAGE', message);
  }
  return { os: os!, architecture: architecture!, variant };
}

/** A platform as text. */
export function showPlatform({ os, architecture, variant }: Platform): string {
  return [os, architecture, variant].filter(part => part !== undefined && part !== '').join('/');
}

/**
 * How well an image for `have` is one for `want`: 0 not at all, 1 as one of the variants where none is asked for, 2 just so.
 */
export function platformMatch(have: Platform, want: Platform): 0 | 1 | 2 {
  if (have.os !== want.os || have.architecture !== want.architecture) return 0;
  const plain = PLAIN_VARIANTS[want.architecture] ?? '';
  const [had, wanted] = [have.variant ?? plain, want.variant ?? plain];
  if (had === wanted || (had === '' && want.variant === plain)) return 2;
  return want.variant === undefined ? 1 : 0;
}
