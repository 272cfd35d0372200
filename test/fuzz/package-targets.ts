import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readDpkgStatus, readOsRelease } from '../../src/image/dpkg-status.js';
import type { Package } from '../../src/image/package-list.js';
import { decodePackageList, encodePackageList } from '../../src/image/package-list.js';
import { readRpmDatabase } from '../../src/image/rpm-database.js';
import { toCycloneDx, toSpdx } from '../../src/image/sbom.js';
import { buildRpms, installIntoLog, installRpms, RPM_PROGRAMS } from '../model/rpm.js';
import { hasAll } from '../has-all.js';
import { rpmHeader, sqliteDatabase } from '../model/sqlite.js';
import { mutate } from './mutate.js';
import type { Random } from './random.js';
import type { Cases, Target } from './target.js';
import { accepts, must } from './target.js';

const MANY = 10_000;
const SUBJECT = { name: 's/1', digest: 'ab', createdAt: '2026-01-01T00:00:00.000Z' };

/** Whatever was read can be kept, read again, and told of. */
function mustBeKept(packages: Package[], release: Buffer): void {
  const list = decodePackageList(encodePackageList({ system: readOsRelease(release), packages }));
  must(list.packages.length <= packages.length, 'there are more than were read');
  must(encodePackageList(list).equals(encodePackageList({ ...list, packages })), 'it is kept otherwise');
  toSpdx(SUBJECT, list);
  toCycloneDx(SUBJECT, list);
}

const RELEASE = Buffer.from('ID=debian\nVERSION_ID="12"\n');
const STANZA = `Package: some-name
Status: install ok installed
Architecture: amd64
Maintainer: Some One <one@example.org>
Source: other (1.0-2)
Version: 2:1.0+b1~x-2
Description: text
 more: text

Package: second
Status: deinstall ok config-files
Version: 1
`;

/** Databases of dpkg: whatever they are, they are read. */
export const dpkgTarget: Target = {
  name: 'dpkg',
  prepare: () => {
    const databases = [STANZA, STANZA.replaceAll('\n', '\r\n'), 'Package: tzdata\nVersion: 1\n'].map(text =>
      Buffer.from(text),
    );
    return Promise.resolve({
      attempt: (random: Random) => {
        const bytes = mutate(random.of(databases), random, random.of(databases));
        const { packages } = readDpkgStatus(bytes, MANY);
        mustBeKept(packages, random.onceIn(2) ? RELEASE : mutate(RELEASE, random, RELEASE));
        return Promise.resolve(packages.length > 0);
      },
    } satisfies Cases);
  },
};

interface RpmFiles {
  database: Buffer;
  log: Buffer;
}

function handMade(): RpmFiles {
  const long = 'l'.repeat(3000);
  const headers = [1, 2, 3].map(number =>
    rpmHeader(
      new Map<number, string | number>([
        [1000, `name-${String(number)}`],
        [1001, '1.0'],
        [1002, '1.fc40'],
        [1003, number],
        [1011, 'Vendor'],
        [1014, 'MIT'],
        [1022, 'noarch'],
        [1044, 'source-1.0-1.fc40.src.rpm'],
        [1117, number === 3 ? long.repeat(5) : 'x'],
      ]),
    ),
  );
  return { database: sqliteDatabase('Packages', headers), log: Buffer.alloc(0) };
}

/** Databases that rpm has written, where there is one: with an inner page, with overflow pages, with a log. */
async function written(directory: string): Promise<RpmFiles[]> {
  if (!hasAll('databases that rpm has written', { programs: RPM_PROGRAMS })) return [];
  const [database, copy] = [join(directory, 'db'), join(directory, 'copy')];
  const packages = Array.from({ length: 12 }, (_, at) => ({
    name: `p${String(at)}`,
    version: `${String(at)}:1-${String(at)}`,
    files: at === 3 ? 200 : at,
  }));
  installRpms(database, buildRpms(join(directory, 'a'), 'a', packages));
  await installIntoLog(
    database,
    buildRpms(join(directory, 'b'), 'b', [{ name: 'late', version: '1-1' }]),
    copy,
  );
  const log = readFileSync(join(copy, 'rpmdb.sqlite-wal'));
  const bytes = readFileSync(join(copy, 'rpmdb.sqlite'));
  return [
    { database: bytes, log: Buffer.alloc(0) },
    { database: bytes, log },
  ];
}

/** Databases of rpm. Changes are often where the tables are, and seldom move what follows. */
export const rpmTarget: Target = {
  name: 'rpm',
  prepare: async directory => {
    const all = [handMade(), ...(await written(directory))];
    for (const { database, log } of all) readRpmDatabase(database, log, MANY);
    return {
      attempt: (random: Random) =>
        accepts(['SOURCE_DAMAGED', 'SOURCE_UNSUPPORTED'], () => {
          const files = random.onceIn(3) ? random.of(all) : all[0]!;
          const database = change(files.database, random);
          const log = random.onceIn(4) ? change(files.log, random) : files.log;
          const { packages } = readRpmDatabase(database, log, MANY);
          mustBeKept(packages, RELEASE);
        }),
    } satisfies Cases;
  },
};

function change(bytes: Buffer, random: Random): Buffer {
  if (random.onceIn(10)) return mutate(bytes, random, bytes);
  const changed = Buffer.from(bytes);
  for (let count = 1 + random.below(3); count > 0 && changed.length > 0; count--) {
    const page = random.below(Math.ceil(changed.length / 4096)) * 4096;
    const length = random.onceIn(3) ? 4096 : 128;
    const part = changed.subarray(page, page + length);
    mutate(part, random, bytes, true).copy(part);
  }
  return changed;
}
