import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { DevicePlaces } from '../../src/unpacker/block-devices.js';
import { temporaryDirectory } from '../temporary-directory.js';

/** Directories that tell of disks as the kernel does. */
export function machine(
  t: ExecutionContext,
  files: Record<string, string>,
  links: Record<string, string> = {},
): DevicePlaces {
  const root = temporaryDirectory(t);
  const places = { sys: join(root, 'sys'), dev: join(root, 'dev') };
  mkdirSync(join(places.dev, 'disk/by-id'), { recursive: true });
  for (const [name, text] of Object.entries(files)) {
    for (const parent of ['block', 'class/block']) {
      const path = join(places.sys, parent, name);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, `${text}\n`);
    }
  }
  for (const [name, target] of Object.entries(links))
    symlinkSync(target, join(places.dev, 'disk/by-id', name));
  return places;
}
