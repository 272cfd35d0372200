import test from 'ava';
import { hasAll, isThere } from './has-all.js';
import { needs } from './needs.js';

const NONE = 'no-such-program';

// What is required is told by the environment, which is one for all tests of a file.
test.serial('a test runs where all is there that it needs, and else is skipped', t => {
  delete process.env['REQUIRE_ROOT'];
  t.true(isThere('sh'));
  t.false(isThere(NONE));
  t.is(needs('this', {}), test);
  t.is(needs('this', { programs: ['sh'] }), test);
  t.is(needs('this', { programs: ['sh', NONE] }), test.skip);
  t.is(needs('this', { fault: 'it is too dark' }), test.skip);
});

test.serial('where all tests are to run, what is missing is a failure', t => {
  process.env['REQUIRE_ROOT'] = 'yes';
  delete process.env['REQUIRE_BOOT'];
  t.teardown(() => delete process.env['REQUIRE_ROOT']);
  t.true(hasAll('this', { programs: ['sh'] }));
  t.throws(() => hasAll('this', { programs: ['sh', NONE], hint: 'buy it' }), {
    message: `this cannot be tried here: ${NONE} cannot be found on the PATH; buy it`,
  });
  t.throws(() => hasAll('this', { fault: 'it is too dark' }), { message: /too dark/ });
  t.false(hasAll('this', { fault: 'it is too dark', required: 'REQUIRE_BOOT' }));
});

test.serial('a program that the distribution has no package of may be missing', t => {
  process.env['REQUIRE_ROOT'] = 'yes';
  t.teardown(() => delete process.env['REQUIRE_ROOT']);
  t.false(hasAll('this', { programs: [NONE] }, [NONE]));
  t.throws(() => hasAll('this', { programs: [NONE, `${NONE}-either`] }, [NONE]));
  t.throws(() => hasAll('this', { programs: [NONE], fault: 'it is too dark' }, [NONE]));
});
