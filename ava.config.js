const all = {
  files: ['test/**/*.test.ts'],
  extensions: { ts: 'module' },
  nodeArguments: ['--import=tsx'],
  // Native code in worker threads is a known source of crashes, and tests as root change the process.
  workerThreads: false,
  // Whatever of Amazon this machine knows is not for tests, nor is its network.
  environmentVariables: {
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_CONFIG_FILE: '/dev/null',
    AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
  },
  // Only what hangs is to be ended by this, however slow the machine is.
  timeout: '10m',
};

/** The parts that are run apart; the tests of the first three are what a bare `npx ava` takes. */
const suites = {
  unit: { ...all, files: [...all.files, '!test/root/**', '!test/system/**'] },
  // Loop devices, page caches and mounts are the machine's: one test at a time.
  root: { ...all, files: ['test/root/**/*.test.ts'], serial: true },
  // Whole systems that boot.
  system: { ...all, files: ['test/system/**/*.test.ts'], serial: true, timeout: '30m' },
  // What `npm run test:crash` runs. Each test tries hundreds of things; each file has a machine of its own.
  crash: { ...all, files: ['test/crash/*.crash.ts'], concurrency: 2, timeout: '60m' },
};

export default () => suites[process.env.TEST_SUITE] ?? all;
