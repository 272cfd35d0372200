import test from 'ava';
import fc from 'fast-check';
import { compareVersions } from '../../../src/volume/boot/version-order.js';

const ASCENDING = [
  // The example of the specification, and versions of kernels as distributions write them.
  [
    '11~rc1',
    '11',
    '11-1',
    '11^20220101',
    '11.0',
    '12',
    '122.1',
    '123~rc1-1',
    '123',
    '123-a',
    '123-a.1',
    '123-1',
    '123-1.1',
    '123^post1',
    '123.a-1',
    '123.1-1',
    '123a-1',
    '124-1',
  ],
  ['5.10.0-28-amd64', '5.10.0-30-amd64', '6.1.0-9-cloud-amd64', '6.1.0-10-cloud-amd64', '6.12.0-rc1'],
  ['0-rescue-8f3d0e0c', '6.8.5-301.fc40.x86_64', '6.8.11-300.fc40.x86_64', '6.11.3-200.fc40.x86_64'],
  ['4.18.0-553.el8_10.x86_64', '5.14.0-427.13.1.el9_4.x86_64', '5.14.0-427.24.1.el9_4.x86_64'],
  ['6.1.66-91.160.amzn2023.x86_64', '6.1.109-118.189.amzn2023.x86_64'],
];

for (const versions of ASCENDING) {
  test(`${versions.at(-1)!} comes after ${versions[0]!} and all between`, t => {
    for (let i = 0; i < versions.length; i++) {
      for (let j = 0; j < versions.length; j++) {
        const order = Math.sign(compareVersions(versions[i]!, versions[j]!));
        t.is(order, Math.sign(i - j), `${versions[i]!} and ${versions[j]!}`);
      }
    }
  });
}

const version = fc.string({
  unit: fc.constantFrom('0', '1', '9', 'a', '-', 'b', '.', '~', '^', '_', 'A'),
  maxLength: 10,
});

test('it is an order', t => {
  fc.assert(
    fc.property(version, version, version, (a, b, c) => {
      t.is(Math.sign(compareVersions(a, b)) + Math.sign(compareVersions(b, a)), 0);
      if (compareVersions(a, b) <= 0 && compareVersions(b, c) <= 0)
        t.true(compareVersions(a, c) <= 0, `${a} ${b} ${c}`);
    }),
    { numRuns: 5000 },
  );
});
