import { createHash } from 'node:crypto';
import type { Package, PackageList } from './package-list.js';

/*
 * Packages as a software bill of materials: SPDX 2.3 or CycloneDX 1.5, both JSON. The same image makes the same document.
 */

/** The image that a document is about. */
export interface SbomSubject {
  name: string;
  /** In hex. */
  digest: string;
  createdAt: string;
}

const TOOL = 'image-unpacker';

/** The packages as SPDX 2.3. Databases of dpkg do not tell licences, and those of rpm tell them in words of their own. */
export function toSpdx({ name, digest, createdAt }: SbomSubject, { system, packages }: PackageList): object {
  const described = {
    SPDXID: 'SPDXRef-Image',
    name,
    versionInfo: digest,
    downloadLocation: 'NOASSERTION',
    filesAnalyzed: false,
    primaryPackagePurpose: 'OPERATING_SYSTEM',
    licenseConcluded: 'NOASSERTION',
    licenseDeclared: 'NOASSERTION',
    copyrightText: 'NOASSERTION',
  };
  const parts = packages.map((each, at) => ({
    SPDXID: `SPDXRef-Package-${String(at + 1)}`,
    name: each.name,
    versionInfo: each.version,
    ...(each.maintainer !== '' && { supplier: `Organization: ${each.maintainer}` }),
    downloadLocation: 'NOASSERTION',
    filesAnalyzed: false,
    sourceInfo: `built from ${each.source} ${each.sourceVersion}`,
    licenseConcluded: 'NOASSERTION',
    licenseDeclared: 'NOASSERTION',
    ...(each.license !== undefined && { licenseComments: `The package says: ${each.license}` }),
    copyrightText: 'NOASSERTION',
    externalRefs: [
      {
        referenceCategory: 'PACKAGE-MANAGER',
        referenceType: 'purl',
        referenceLocator: packageUrl(each, system),
      },
    ],
  }));
  const contained = parts.map(({ SPDXID }) => ({
    spdxElementId: described.SPDXID,
    relationshipType: 'CONTAINS',
    relatedSpdxElement: SPDXID,
  }));
  return {
    spdxVersion: 'SPDX-2.3',
    dataLicense: 'CC0-1.0',
    SPDXID: 'SPDXRef-DOCUMENT',
    name,
    documentNamespace: `urn:uuid:${uuidOf('spdx', name, digest)}`,
    creationInfo: { created: createdAt.replace(/\.\d+Z$/, 'Z'), creators: [`Tool: ${TOOL}`] },
    packages: [described, ...parts],
    relationships: [
      {
        spdxElementId: 'SPDXRef-DOCUMENT',
        relationshipType: 'DESCRIBES',
        relatedSpdxElement: described.SPDXID,
      },
      ...contained,
    ],
  };
}

/** The packages as CycloneDX 1.5. */
export function toCycloneDx(
  { name, digest, createdAt }: SbomSubject,
  { system, packages }: PackageList,
): object {
  const references = new Set<string>();
  return {
    bomFormat: 'CycloneDX',
    specVersion: '1.5',
    serialNumber: `urn:uuid:${uuidOf('cyclonedx', name, digest)}`,
    version: 1,
    metadata: {
      timestamp: createdAt,
      tools: { components: [{ type: 'application', name: TOOL }] },
      component: {
        type: 'operating-system',
        'bom-ref': 'image',
        name,
        version: digest.slice(0, 12),
        hashes: [{ alg: 'SHA-512', content: digest }],
      },
    },
    components: packages.map(each => ({
      type: 'library',
      'bom-ref': uniqueReference(packageUrl(each, system), references),
      ...(each.maintainer !== '' && { supplier: { name: each.maintainer } }),
      name: each.name,
      version: each.version,
      ...(each.license !== undefined && { licenses: [{ license: { name: each.license } }] }),
      purl: packageUrl(each, system),
    })),
  };
}

/** A reference that none of `taken` is, and which is one of them from now on. */
function uniqueReference(wanted: string, taken: Set<string>): string {
  const reference = taken.has(wanted) ? `${wanted}#${String(taken.size)}` : wanted;
  taken.add(reference);
  return reference;
}

/** A package URL, of the type deb or rpm. */
export function packageUrl(each: Package, { id, version: release }: PackageList['system']): string {
  const { type, namespace, name, version, qualifiers } =
    each.manager === 'dpkg' ? ofDeb(each, id) : ofRpm(each, id);
  const distro = ['distro', id === '' ? '' : [id, release].filter(Boolean).join('-')] as const;
  const query = [['arch', each.architecture] as const, distro, ...qualifiers]
    .filter(([, value]) => value !== '')
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${encode(value)}`)
    .join('&');
  const path = [type, namespace, name].filter(Boolean).map(encode).join('/');
  return `pkg:${path}@${encode(version)}${query === '' ? '' : `?${query}`}`;
}

/** What the types of package URLs differ in. */
interface UrlParts {
  type: string;
  namespace: string;
  name: string;
  version: string;
  qualifiers: (readonly [key: string, value: string])[];
}

function ofDeb({ name, version, source, sourceVersion }: Package, id: string): UrlParts {
  const isOwnSource = source === name && sourceVersion === version;
  const upstream = isOwnSource ? '' : sourceVersion === version ? source : `${source}@${sourceVersion}`;
  const namespace = id === '' ? 'debian' : id;
  return { type: 'deb', namespace, name: name.toLowerCase(), version, qualifiers: [['upstream', upstream]] };
}

/** The epoch is a qualifier, and the source is named by its file. */
function ofRpm({ name, version: full, source, sourceVersion }: Package, id: string): UrlParts {
  const [, epoch = '', version = full] = /^(?:(\d+):)?(.*)$/.exec(full) ?? [];
  const isOwnSource = source === name && sourceVersion === version;
  const upstream = isOwnSource ? '' : `${source}-${sourceVersion}.src.rpm`;
  const namespace = id === 'rhel' ? 'redhat' : id;
  return {
    type: 'rpm',
    namespace,
    name,
    version,
    qualifiers: [
      ['epoch', epoch],
      ['upstream', upstream],
    ],
  };
}

function encode(text: string): string {
  return encodeURIComponent(text).replaceAll('%3A', ':');
}

/** A UUID (version 5 in form) that is the same for the same parts. */
function uuidOf(...parts: string[]): string {
  const bytes = createHash('sha256').update(parts.join('\0')).digest().subarray(0, 16);
  bytes[6] = (bytes[6]! & 0x0f) | 0x50;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
