import * as v from 'valibot';
import { ImageUnpackerError } from './error.js';

/*
 * The packages of an image, kept with it as the annotation `image-unpacker.packages`: one JSON object (RFC 8259) on one line.
 *
 *   format     1
 *   system     {id, version}: ID and VERSION_ID of os-release, "" where it does not tell
 *   packages   array of {manager, name, version, architecture, source, sourceVersion, maintainer}, sorted by manager,
 *              name, architecture and version; manager is "dpkg"; maintainer may be ""
 *
 * All of these are there, and no others.
 */

/** How the annotation is called. */
export const PACKAGES_ANNOTATION = 'image-unpacker.packages';
/** The most packages that are kept, and bytes of the list: many times what any system has. */
export const MAX_PACKAGES = 200_000;
export const MAX_LIST_BYTES = 64 << 20;

const MAX_TEXT = 1024;
const text = v.pipe(v.string(), v.maxLength(MAX_TEXT));

const packageSchema = v.strictObject({
  manager: v.literal('dpkg'),
  name: text,
  version: text,
  architecture: text,
  source: text,
  sourceVersion: text,
  maintainer: text,
});
const listSchema = v.strictObject({
  format: v.literal(1),
  system: v.strictObject({ id: text, version: text }),
  packages: v.pipe(v.array(packageSchema), v.maxLength(MAX_PACKAGES)),
});

/** A package that is installed in an image. */
export type Package = v.InferOutput<typeof packageSchema>;
/** All packages of an image, and the distribution that they are of. */
export type PackageList = Omit<v.InferOutput<typeof listSchema>, 'format'>;

/** What differs in the packages of two images. */
export interface PackageChanges {
  added: Package[];
  removed: Package[];
  changed: { name: string; architecture: string; from: string; to: string }[];
}

/** A list as it is kept: the same for the same packages. */
export function encodePackageList({ system, packages }: PackageList): Buffer {
  const sorted = [...packages].sort((a, b) => compare(orderOf(a), orderOf(b)));
  return Buffer.from(`${JSON.stringify({ format: 1, system, packages: sorted })}\n`);
}

/** Reads a list that was kept. Throws `STORE_DAMAGED`. */
export function decodePackageList(bytes: Buffer): PackageList {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch {
    value = undefined;
  }
  const result = v.safeParse(listSchema, value, { abortEarly: true });
  if (result.success) return { system: result.output.system, packages: result.output.packages };
  const message = 'it is no list of packages; build the image anew';
  throw new ImageUnpackerError('STORE_DAMAGED', message);
}

/** Compares two lists. A package whose version alone differs has changed. */
export function comparePackages(before: readonly Package[], after: readonly Package[]): PackageChanges {
  const [had, has] = [byKey(before), byKey(after)];
  const changes: PackageChanges = { added: [], removed: [], changed: [] };
  for (const [key, to] of has) {
    const from = had.get(key);
    if (from === undefined) changes.added.push(to);
    else if (from.version !== to.version) {
      const { name, architecture } = to;
      changes.changed.push({ name, architecture, from: from.version, to: to.version });
    }
  }
  for (const [key, from] of had) if (!has.has(key)) changes.removed.push(from);
  return changes;
}

function byKey(packages: readonly Package[]): Map<string, Package> {
  return new Map(packages.map(each => [[each.manager, each.name, each.architecture].join('\n'), each]));
}

function orderOf({ manager, name, architecture, version }: Package): string {
  return [manager, name, architecture, version].join('\0');
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
