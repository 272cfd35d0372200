import { execFileSync, spawn } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { join } from 'node:path';

/** rpm does not start with the library of a sanitizer in it (scripts/test-asan.mjs). */
const env = { ...process.env, LD_PRELOAD: '' };

/** What makes databases of rpm. */
export const RPM_PROGRAMS = ['rpm', 'rpmbuild', 'sqlite3'];

/** A package to be made: a version is `[epoch:]version-release`. */
export interface MadePackage {
  name: string;
  version: string;
  /** How many files its header names: more than some 50 do not fit a page of the database. */
  files?: number;
}

const INSTALL = ['-i', '--justdb', '--nodeps', '--noscripts', '--nosignature'];

/** Builds packages, all of one source package, and resolves to their files. */
export function buildRpms(directory: string, source: string, packages: readonly MadePackage[]): string[] {
  const spec = join(directory, `${source}.spec`);
  mkdirSync(directory, { recursive: true });
  writeFileSync(spec, specOf(source, packages));
  const top = join(directory, 'top');
  execFileSync('rpmbuild', ['-bb', '--quiet', '--define', `_topdir ${top}`, spec], { stdio: 'pipe', env });
  return readdirSync(join(top, 'RPMS/noarch')).map(name => join(top, 'RPMS/noarch', name));
}

function specOf(source: string, packages: readonly MadePackage[]): string {
  const head = ['Summary: x', 'Vendor: Some Vendor', 'BuildArch: noarch'];
  const main = [
    `Name: ${source}`,
    'Version: 7',
    'Release: 1',
    'License: GPL-2.0-or-later',
    ...head,
    '%description\nx',
  ];
  const parts = packages.map(({ name, version, files = 0 }) => {
    const [, epoch, plain, release] = /^(?:(\d+):)?([^-]+)-(.+)$/.exec(version) ?? [];
    const fields = [
      `Version: ${plain ?? ''}`,
      `Release: ${release ?? ''}`,
      'License: MIT and (BSD or X)',
      ...head,
    ];
    if (epoch !== undefined) fields.push(`Epoch: ${epoch}`);
    const names = Array.from(
      { length: files },
      (_, at) => `%ghost /opt/${name}/some-long-directory-${String(at)}/file`,
    );
    return [
      `%package -n ${name}`,
      ...fields,
      `%description -n ${name}\nx`,
      `%files -n ${name}`,
      ...names,
    ].join('\n');
  });
  return `${[...main, ...parts].join('\n')}\n`;
}

/** Makes an empty database, and installs packages into it without their files. */
export function installRpms(database: string, files: readonly string[]): void {
  mkdirSync(database, { recursive: true });
  rpm(database, '--initdb');
  if (files.length > 0) rpm(database, ...INSTALL, ...files);
}

/** Removes a package from a database. */
export function eraseRpm(database: string, name: string): void {
  rpm(database, '-e', '--justdb', '--nodeps', '--noscripts', name);
}

/** What `rpm -qa` lists: name, architecture, version with epoch, source package, vendor and licence, sorted by name and version. */
export function queryRpms(database: string): string[] {
  const format =
    '%{NAME}|%{ARCH}|%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}|%{SOURCERPM}|%{VENDOR}|%{LICENSE}\\n';
  return rpm(database, '-qa', '--qf', format).trim().split('\n').sort();
}

/**
 * Installs packages while somebody reads the database, so that they stand in its log only, and copies both to `to`.
 */
export async function installIntoLog(database: string, files: readonly string[], to: string): Promise<void> {
  const reader = spawn('sqlite3', [join(database, 'rpmdb.sqlite')], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(reader, 'exit');
  try {
    reader.stdin.write('BEGIN; SELECT count(*) FROM Packages;\n');
    await once(reader.stdout, 'data');
    rpm(database, ...INSTALL, ...files);
    cpSync(database, to, { recursive: true });
  } finally {
    reader.stdin.end('COMMIT;\n');
    await ended;
  }
}

function rpm(database: string, ...parameters: string[]): string {
  return execFileSync('rpm', ['--dbpath', database, ...parameters], { encoding: 'utf8', stdio: 'pipe', env });
}
