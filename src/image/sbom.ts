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

/** The packages as SPDX 2.3. Databases of dpkg do not tell licences, so there are none. */
export function toSpdx({ name, digest, createdAt }: SbomSubject, { system, packages }: PackageList): object {
  const described = {
    SPDXID: 'SPDXRef-Image',
    name,
    versionInfo: digest,
    downloadLocation: 'NOASSERTION',
    filesAnalyzed: false,
    primaryPackagePurpose: 'OPERATING-SYSTEM',
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
      'bom-ref': packageUrl(each, system),
      ...(each.maintainer !== '' && { supplier: { name: each.maintainer } }),
      name: each.name,
      version: each.version,
      purl: packageUrl(each, system),
    })),
  };
}

/** A package URL, of the type deb. */
export function packageUrl(
  { name, version, architecture, source, sourceVersion }: Package,
  { id, version: release }: PackageList['system'],
): string {
  const isOwnSource = source === name && sourceVersion === version;
  const upstream = isOwnSource ? '' : sourceVersion === version ? source : `${source}@${sourceVersion}`;
  const qualifiers = [
    ['arch', architecture],
    ['distro', id === '' ? '' : [id, release].filter(Boolean).join('-')],
    ['upstream', upstream],
  ]
    .filter(([, value]) => value !== '')
    .map(([key, value]) => `${key!}=${encode(value!)}`);
  const query = qualifiers.length === 0 ? '' : `?${qualifiers.join('&')}`;
  return `pkg:deb/${encode(id === '' ? 'debian' : id)}/${encode(name.toLowerCase())}@${encode(version)}${query}`;
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
