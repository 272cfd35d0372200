import * as v from 'valibot';
import { ImageUnpackerError } from './error.js';

/*
 * The packages of an image, kept with it as the annotation `image-unpacker.packages`: one JSON object (RFC 8259) on one line.
 *
 *   format     1
 *   system     {id, version}: ID and VERSION_ID of os-release, "" where it does not tell
 *   packages   array of {manager, name, version, architecture, source, sourceVersion, maintainer, license?}, each once, sorted
 *              by manager, name, architecture and version; manager is "dpkg" or "rpm"; the version of rpm is
 *              [epoch ":"] version "-" release; architecture and maintainer may be ""; license is as rpm has it
 *
 * All of these but license are there, and no others.
 */

/** How the annotation is called. */
export const PACKAGES_ANNOTATION = 'image-unpacker.packages';
/** The most packages that are kept, and bytes of the list: many times what any system has. */
export const MAX_PACKAGES = 200_000;
export const MAX_LIST_BYTES = 64 << 20;

const MAX_TEXT = 1024;
const text = v.pipe(v.string(), v.maxLength(MAX_TEXT));

const packageSchema = v.strictObject({
  manager: v.picklist(['dpkg', 'rpm']),
  name: text,
  version: text,
  architecture: text,
  source: text,
  sourceVersion: text,
  maintainer: text,
  license: v.exactOptional(text),
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

/** A list as it is kept: the same for the same packages, each of them once. */
export function encodePackageList({ system, packages }: PackageList): Buffer {
  const sorted = packages
    .map(each => ({ each, order: orderOf(each) }))
    .sort((a, b) => compare(a.order, b.order))
    .filter(({ order }, at, all) => all[at - 1]?.order !== order)
    .map(({ each }) => each);
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

/**
 * Compares two lists. A package whose version alone differs has changed; of those that are installed in several versions, as
 * kernels are, versions are added and removed.
 */
export function comparePackages(before: readonly Package[], after: readonly Package[]): PackageChanges {
  const [had, has] = [byKey(before), byKey(after)];
  const changes: PackageChanges = { added: [], removed: [], changed: [] };
  for (const [key, to] of has) {
    const from = had.get(key) ?? [];
    if (from.length === 1 && to.length === 1) noteChange(from[0]!, to[0]!, changes);
    else for (const each of missingIn(from, to)) changes.added.push(each);
  }
  for (const [key, from] of had) {
    const to = has.get(key) ?? [];
    if (from.length === 1 && to.length === 1) continue;
    for (const each of missingIn(to, from)) changes.removed.push(each);
  }
  return changes;
}

function noteChange(from: Package, to: Package, { changed }: PackageChanges): void {
  const { name, architecture } = to;
  if (from.version !== to.version) changed.push({ name, architecture, from: from.version, to: to.version });
}

/** Those of `packages` whose version none of `others` has. */
function missingIn(others: readonly Package[], packages: readonly Package[]): Package[] {
  const versions = new Set(others.map(({ version }) => version));
  return packages.filter(({ version }) => !versions.has(version));
}

function byKey(packages: readonly Package[]): Map<string, Package[]> {
  const groups = new Map<string, Package[]>();
  for (const each of packages) {
    const key = [each.manager, each.name, each.architecture].join('\n');
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [each]);
    else group.push(each);
  }
  return groups;
}

function orderOf({ manager, name, architecture, version }: Package): string {
  return [manager, name, architecture, version].join('\0');
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
