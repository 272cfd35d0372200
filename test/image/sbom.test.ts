import { createRequire } from 'node:module';
import test from 'ava';
import type { Package } from '../../src/image/package-list.js';
import { packageUrl, toCycloneDx, toSpdx } from '../../src/image/sbom.js';

/** What is used of the package that has the official schemas of CycloneDX. */
interface Library {
  Spec: { Version: { v1dot5: string } };
  Validation: { JsonStrictValidator: new (version: string) => { validate(text: string): Promise<unknown> } };
}
const { Spec, Validation } = createRequire(import.meta.url)('@cyclonedx/cyclonedx-library') as Library;

const SUBJECT = { name: 'base/os/2026', digest: 'ab'.repeat(64), createdAt: '2026-01-01T00:00:00.000Z' };
const SYSTEM = { id: 'fedora', version: '40' };

function packageOf(more: Partial<Package>): Package {
  const version = more.version ?? '1';
  return {
    manager: 'dpkg',
    name: 'a',
    version,
    architecture: 'amd64',
    source: 'a',
    sourceVersion: version,
    maintainer: '',
    ...more,
  };
}

const PACKAGES = [
  packageOf({ maintainer: 'Some One <one@example.org>' }),
  packageOf({ name: 'libstdc++6', version: '2:1.0+b1~x-2', source: 'gcc', architecture: '' }),
  // The same reference twice: names of Debian are in lower case.
  packageOf({ name: 'Twice' }),
  packageOf({ name: 'twice' }),
  packageOf({ manager: 'rpm', name: 'Kernel', version: '1:2-3', license: 'GPLv2+ and "others"' }),
  packageOf({
    manager: 'rpm',
    name: 'gpg-pubkey',
    version: 'a15b79cc-63d04c2c',
    architecture: '',
    license: 'pubkey',
  }),
];

test('CycloneDX is as its official schema says, its strict form', async t => {
  const validator = new Validation.JsonStrictValidator(Spec.Version.v1dot5);
  const faultsOf = async (document: object): Promise<unknown> => validator.validate(JSON.stringify(document));
  for (const system of [SYSTEM, { id: '', version: '' }])
    for (const packages of [PACKAGES, []])
      t.is(await faultsOf(toCycloneDx(SUBJECT, { system, packages })), null);
  t.not(
    await faultsOf({ ...toCycloneDx(SUBJECT, { system: SYSTEM, packages: [] }), serialNumber: 'x' }),
    null,
  );
});

test('each package has a reference of its own', t => {
  const { components } = toCycloneDx(SUBJECT, { system: SYSTEM, packages: PACKAGES }) as {
    components: { 'bom-ref': string }[];
  };
  t.is(new Set(components.map(each => each['bom-ref'])).size, PACKAGES.length);
});

/** What the official schema of SPDX 2.3 has, of which there is no package. */
test('SPDX: each element has an identifier and is told of once, and what must be one of a few words is', t => {
  interface Document {
    packages: {
      SPDXID: string;
      primaryPackagePurpose?: string;
      externalRefs?: { referenceCategory: string }[];
    }[];
    relationships: { relatedSpdxElement: string; relationshipType: string }[];
  }
  const { packages, relationships } = toSpdx(SUBJECT, { system: SYSTEM, packages: PACKAGES }) as Document;
  t.is(new Set(packages.map(each => each.SPDXID)).size, PACKAGES.length + 1);
  t.true(packages.every(each => /^SPDXRef-[a-zA-Z0-9.-]+$/.test(each.SPDXID)));
  t.deepEqual(
    relationships.map(each => each.relatedSpdxElement).sort(),
    packages.map(each => each.SPDXID).sort(),
  );
  t.is(packages[0]!.primaryPackagePurpose, 'OPERATING_SYSTEM');
  t.true(packages.slice(1).every(each => each.externalRefs?.[0]?.referenceCategory === 'PACKAGE-MANAGER'));
});

test('package URLs', t => {
  const url = (more: Partial<Package>, id = 'fedora'): string =>
    packageUrl(packageOf(more), { id, version: '40' });
  t.is(
    url({ manager: 'rpm', version: '1:2-3', sourceVersion: '2-3' }),
    'pkg:rpm/fedora/a@2-3?arch=amd64&distro=fedora-40&epoch=1',
  );
  t.is(
    url({ manager: 'rpm', name: 'A+', version: '2^x-3', source: 'b', architecture: '' }, 'rhel'),
    'pkg:rpm/redhat/A%2B@2%5Ex-3?distro=rhel-40&upstream=b-2%5Ex-3.src.rpm',
  );
  t.is(
    packageUrl(packageOf({ name: 'A', source: 'A' }), { id: '', version: '' }),
    'pkg:deb/debian/a@1?arch=amd64',
  );
});
