import type { Package } from './package-list.js';

/*
 * The database of dpkg (deb-control(5), dpkg-query(1)):
 *
 *   status     stanza *( 1*blank-line stanza )
 *   stanza     1*field
 *   field      name ":" value LF *( ( SP / TAB ) more LF )
 *
 *   Status     want SP flag SP state; the package is installed if the state is, or is about to be. The stanzas of
 *              distroless images, in files of their own, have none
 *   Source     name [ " (" version ")" ]; without it the package is its own source
 */

/** What a stanza need not be longer than to be looked at, and a value to be kept. */
const MAX_VALUE = 1024;
const INSTALLED = new Set([
  'installed',
  'triggers-pending',
  'triggers-awaited',
  'half-configured',
  'unpacked',
]);
const KEPT = new Set(['package', 'status', 'version', 'architecture', 'source', 'maintainer']);

/** What a database says. Stanzas that make no package are counted, and passed over. */
export interface DpkgPackages {
  packages: Package[];
  illFormed: number;
}

/** Reads the packages that are installed; never throws. At most `most` of them are read. */
export function readDpkgStatus(bytes: Buffer, most: number): DpkgPackages {
  const found: DpkgPackages = { packages: [], illFormed: 0 };
  let fields = new Map<string, string>();
  const end = (): void => {
    if (fields.size > 0) addPackage(fields, found);
    fields = new Map();
  };
  for (let start = 0; start < bytes.length && found.packages.length < most;) {
    let stop = bytes.indexOf(0x0a, start);
    if (stop < 0) stop = bytes.length;
    const line = bytes.toString('utf8', start, Math.min(stop, start + MAX_VALUE + 64)).trimEnd();
    start = stop + 1;
    if (line === '') end();
    else if (!/^[ \t]/.test(line)) addField(line, fields);
  }
  end();
  return found;
}

function addField(line: string, fields: Map<string, string>): void {
  const colon = line.indexOf(':');
  const name = line.slice(0, Math.max(colon, 0)).toLowerCase();
  if (KEPT.has(name))
    fields.set(
      name,
      line
        .slice(colon + 1)
        .trim()
        .slice(0, MAX_VALUE),
    );
  // A line that is no field makes the stanza none: it has no package then, unless it is one of no interest.
  else if (colon < 1) fields.set('', line.slice(0, 1));
}

function addPackage(fields: ReadonlyMap<string, string>, found: DpkgPackages): void {
  const state = fields.get('status')?.split(/\s+/)[2];
  if (state !== undefined && !INSTALLED.has(state)) return;
  const [name = '', version = ''] = [fields.get('package'), fields.get('version')];
  if (!/^[a-zA-Z0-9][a-zA-Z0-9+.-]*$/.test(name) || !/^[A-Za-z0-9.+:~_-]+$/.test(version) || fields.has('')) {
    found.illFormed++;
    return;
  }
  const [, source = name, sourceVersion = version] =
    /^([^\s(]+)(?:\s*\(([^)]*)\))?$/.exec(fields.get('source') ?? '') ?? [];
  const architecture = fields.get('architecture') ?? '';
  const maintainer = fields.get('maintainer') ?? '';
  found.packages.push({ manager: 'dpkg', name, version, architecture, source, sourceVersion, maintainer });
}

/** `ID` and `VERSION_ID` of an os-release file; "" where it does not tell. */
export function readOsRelease(bytes: Buffer): { id: string; version: string } {
  const of = (key: string): string => {
    const [, value = ''] =
      new RegExp(`^${key}=["']?([A-Za-z0-9._-]{1,64})["']?$`, 'm').exec(bytes.toString('latin1')) ?? [];
    return value;
  };
  return { id: of('ID'), version: of('VERSION_ID') };
}
