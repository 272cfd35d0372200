import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { readRpmDatabase } from '../../src/image/rpm-database.js';
import { buildRpms, eraseRpm, installIntoLog, installRpms, queryRpms, RPM_PROGRAMS } from '../model/rpm.js';
import { needs } from '../needs.js';
import { temporaryDirectory } from '../temporary-directory.js';

const withRpm = needs('databases of rpm', { programs: RPM_PROGRAMS });

const MANY = 1_000_000;

/** What `rpm -qa` would say of a database, by our reader. */
function read(directory: string): string[] {
  const log = join(directory, 'rpmdb.sqlite-wal');
  const { packages, illFormed } = readRpmDatabase(
    readFileSync(join(directory, 'rpmdb.sqlite')),
    existsSync(log) ? readFileSync(log) : Buffer.alloc(0),
    MANY,
  );
  if (illFormed > 0) throw new Error(`${String(illFormed)} packages are ill-formed`);
  return packages
    .map(({ name, architecture, version, source, sourceVersion, maintainer, license = '' }) =>
      [name, architecture, version, `${source}-${sourceVersion}.src.rpm`, maintainer, license].join('|'),
    )
    .sort();
}

withRpm(
  'packages are those of rpm -qa: epochs, headers of many pages, many of them, and those that are gone',
  t => {
    const directory = temporaryDirectory(t);
    const many = Array.from({ length: 150 }, (_, at) => ({
      name: `many-${String(at)}`,
      version: `1.${String(at)}-${String(at % 3)}.fc38`,
      files: at % 10 === 0 ? 40 * at : at % 7,
    }));
    const special = [
      { name: 'with-epoch', version: '3:1.0~rc1^git-2.el9' },
      { name: 'libstdc++', version: '0:12-1' },
    ];
    const database = join(directory, 'db');
    installRpms(database, buildRpms(join(directory, 'build'), 'source-of-all', [...many, ...special]));
    const all = read(database);
    t.is(all.length, 152);
    t.deepEqual(all, queryRpms(database));
    for (const name of ['many-0', 'many-70', 'many-149', 'with-epoch']) eraseRpm(database, name);
    t.is(read(database).length, 148);
    t.deepEqual(read(database), queryRpms(database));
    for (const size of [512, 1024, 65_536]) {
      const file = join(database, 'rpmdb.sqlite');
      execFileSync('sqlite3', [
        file,
        `PRAGMA journal_mode=DELETE; PRAGMA page_size=${String(size)}; VACUUM;`,
      ]);
      t.is(readFileSync(file).readUInt16BE(16), size % 65_536 || 1);
      t.deepEqual(read(database), queryRpms(database));
    }
  },
);

withRpm('packages that stand in the write-ahead log only are listed', async t => {
  const directory = temporaryDirectory(t);
  const [database, copy] = [join(directory, 'db'), join(directory, 'copy')];
  installRpms(database, buildRpms(join(directory, 'a'), 'a', [{ name: 'first', version: '1-1' }]));
  const later = buildRpms(join(directory, 'b'), 'b', [{ name: 'second', version: '2-1', files: 300 }]);
  await installIntoLog(database, later, copy);
  t.true(statSync(join(copy, 'rpmdb.sqlite-wal')).size > 0);
  const log = readFileSync(join(copy, 'rpmdb.sqlite-wal'));
  const bytes = readFileSync(join(copy, 'rpmdb.sqlite'));
  t.deepEqual(
    readRpmDatabase(bytes, Buffer.alloc(0), MANY).packages.map(({ name }) => name),
    ['first'],
  );
  t.deepEqual(
    read(copy).map(line => line.split('|')[0]),
    ['first', 'second'],
  );
  // Whatever is cut off or bent, what had been committed before it counts.
  const cut = log.subarray(0, log.length - 1);
  t.notThrows(() => readRpmDatabase(bytes, cut, MANY));
  const bent = Buffer.from(log);
  bent[24 + 32 + 100]! ^= 1;
  t.deepEqual(
    readRpmDatabase(bytes, bent, MANY).packages.map(({ name }) => name),
    ['first'],
  );
  t.deepEqual(read(copy), queryRpms(copy));
});

test('what is no database of rpm is refused', t => {
  const empty = Buffer.alloc(0);
  for (const bytes of [empty, Buffer.from('SQLite format 3\0'), Buffer.alloc(8192, 'x')])
    t.throws(() => readRpmDatabase(bytes, empty, MANY), { code: 'SOURCE_DAMAGED' });
});

withRpm('a database without packages, and one without the table', t => {
  const directory = temporaryDirectory(t);
  installRpms(join(directory, 'db'), []);
  t.deepEqual(read(join(directory, 'db')), []);
  const other = join(directory, 'other');
  execFileSync('sqlite3', [other, 'CREATE TABLE Others (a, b); INSERT INTO Others VALUES (1, 2);']);
  t.throws(() => readRpmDatabase(readFileSync(other), Buffer.alloc(0), MANY), {
    message: /no table of packages/,
  });
});
