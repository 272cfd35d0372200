import { chmodSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { StoreUnderTest } from './store.js';

/** How what lies in the store in a directory is damaged. */
export function damageIn(location: string): Pick<StoreUnderTest, 'damage' | 'damageMap' | 'damageChannel'> {
  return {
    damage: (digest, how) => {
      const hex = digest.toString('hex');
      const file = join(location, 'objects/sha512', hex.slice(0, 2), hex);
      chmodSync(file, 0o644);
      const bytes = readFileSync(file);
      if (how === 'missing') rmSync(file);
      else if (how === 'empty') truncateSync(file, 0);
      else if (how === 'short') truncateSync(file, bytes.length - 1);
      else {
        bytes[bytes.length - 1]! ^= 1;
        writeFileSync(file, bytes);
      }
      return Promise.resolve();
    },
    damageMap: (image, disk) => {
      const file = join(location, 'disk-maps', image, disk.toString('hex'));
      const bytes = readFileSync(file);
      bytes[40]! ^= 1;
      writeFileSync(file, bytes);
      return Promise.resolve();
    },
    damageChannel: (stream, name) => {
      writeFileSync(join(location, 'channels', stream, `@${name}`), 'x');
      return Promise.resolve();
    },
  };
}
