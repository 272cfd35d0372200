export default {
  files: ['test/**/*.test.ts'],
  extensions: { ts: 'module' },
  nodeArguments: ['--import=tsx'],
  // Native code in worker threads is a known source of crashes, and tests as root change the process.
  workerThreads: false,
  timeout: '3m',
};
