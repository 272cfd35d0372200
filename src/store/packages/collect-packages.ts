import { readDpkgStatus, readOsRelease } from '../../image/dpkg-status.js';
import { ImageUnpackerError } from '../../image/error.js';
import type { Package, PackageList } from '../../image/package-list.js';
import {
  encodePackageList,
  MAX_LIST_BYTES,
  MAX_PACKAGES,
  PACKAGES_ANNOTATION,
} from '../../image/package-list.js';
import { readRpmDatabase } from '../../image/rpm-database.js';
import type { ImageRecord, Store } from '../store.js';
import type { FoundFile, PackageFiles, RpmFiles } from './find-databases.js';
import { readFile } from './read-file.js';

/** Headers of rpm name every file of a package: the databases of large systems have some 100 MiB. */
const MAX_RPM_BYTES = 256 << 20;

/** Where what is wrong with a database is told: the image is good without it. */
type Warn = (message: string) => void;

/** The record with the list of packages as an annotation, unless it has one of that name. */
export async function withPackages(
  record: ImageRecord,
  files: PackageFiles,
  store: Store,
  warn: Warn,
): Promise<ImageRecord> {
  if (record.annotations[PACKAGES_ANNOTATION] !== undefined) return record;
  const digest = await storePackages(files, store, warn);
  if (digest === undefined) return record;
  return { ...record, annotations: { ...record.annotations, [PACKAGES_ANNOTATION]: digest } };
}

/** Stores the list of packages, and resolves to its digest in hex; undefined if there is no database that can be read. */
async function storePackages(files: PackageFiles, store: Store, warn: Warn): Promise<string | undefined> {
  if (files.isTooMany) warn('Not all packages are listed: their database has too many files');
  const [dpkg, rpm] = [files.dpkg(), files.rpm()];
  const ofRpm = rpm === undefined ? undefined : await packagesOfRpm(rpm, store, warn);
  if (dpkg.length === 0 && ofRpm === undefined) return undefined;
  const packages = [...(ofRpm ?? []), ...(await packagesOfDpkg(dpkg, store, warn))].slice(0, MAX_PACKAGES);
  const encoded = encodePackageList({ system: await systemOf(files.osRelease(), store, warn), packages });
  if (encoded.length <= MAX_LIST_BYTES) return (await store.put(encoded)).digest.toString('hex');
  warn('The packages are not listed: there are too many');
  return undefined;
}

async function packagesOfDpkg(databases: readonly FoundFile[], store: Store, warn: Warn): Promise<Package[]> {
  const packages: Package[] = [];
  let left = MAX_LIST_BYTES;
  for (const found of databases) {
    const { path } = found;
    if (found.file.size > left) {
      warn(`Not all packages are listed: /${path} and the files before it are too large`);
      break;
    }
    left -= Number(found.file.size);
    const bytes = await readOrWarn(store, found, MAX_LIST_BYTES, warn);
    const { packages: more, illFormed } = readDpkgStatus(bytes, MAX_PACKAGES - packages.length);
    warnOfIllFormed(path, illFormed, warn);
    for (const each of more) packages.push(each);
  }
  return packages;
}

/** Undefined where they cannot be read: a list of none would say that there are none. */
async function packagesOfRpm(files: RpmFiles, store: Store, warn: Warn): Promise<Package[] | undefined> {
  const { path } = files.database;
  if (files.form === 'old') {
    warn(
      `The packages of rpm are not listed: /${path} is a database of an older form, which is not read; run \`rpmdb --rebuilddb\` there with a newer rpm`,
    );
    return undefined;
  }
  try {
    const database = await readFile(store, files.database.file, MAX_RPM_BYTES);
    const log = files.log && (await readFile(store, files.log.file, MAX_RPM_BYTES - database.length));
    const { packages, illFormed } = readRpmDatabase(database, log ?? Buffer.alloc(0), MAX_PACKAGES);
    warnOfIllFormed(path, illFormed, warn);
    return packages;
  } catch (reason) {
    const { message } = ImageUnpackerError.from(reason, 'Cannot read it');
    warn(`The packages of rpm are not listed: /${path}: ${message}`);
    return undefined;
  }
}

function warnOfIllFormed(path: string, count: number, warn: Warn): void {
  if (count > 0) warn(`/${path} has entries that are no packages and are not listed: ${String(count)}`);
}

async function systemOf(
  release: FoundFile | undefined,
  store: Store,
  warn: Warn,
): Promise<PackageList['system']> {
  if (release === undefined) return { id: '', version: '' };
  return readOsRelease(await readOrWarn(store, release, MAX_LIST_BYTES, warn));
}

async function readOrWarn(
  store: Store,
  { path, file }: FoundFile,
  limit: number,
  warn: Warn,
): Promise<Buffer> {
  try {
    return await readFile(store, file, limit);
  } catch (reason) {
    const { message } = ImageUnpackerError.from(reason, 'Cannot read it');
    warn(`Not all packages are listed: /${path}: ${message}`);
    return Buffer.alloc(0);
  }
}
