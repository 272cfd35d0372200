import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Whether node_modules below `root` holds what package-lock.json says. What is optional may be missing. */
export function npmPackagesAreCurrent(root) {
  const installedList = join(root, 'node_modules/.package-lock.json');
  if (!existsSync(installedList)) return false;
  const installed = readPackages(installedList);
  return Object.entries(readPackages(join(root, 'package-lock.json')))
    .filter(([path]) => path !== '')
    .every(([path, wanted]) => {
      const found = installed[path];
      return found === undefined ? wanted.optional === true : found.version === wanted.version;
    });
}

function readPackages(file) {
  return JSON.parse(readFileSync(file, 'utf8')).packages;
}
