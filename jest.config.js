/** Tests run on the compiled output: what is tested is what ships, worker threads and child processes included. */
export default {
  rootDir: 'dist',
  testMatch: ['<rootDir>/test/**/*.test.js'],
  testEnvironment: '<rootDir>/../test/support/environment.cjs',
  transform: {},
  testTimeout: 60_000,
  maxWorkers: 2,
};
