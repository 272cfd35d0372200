import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';
import { importRule } from './eslint.imports.js';

/** The process belongs to the programs: what they are built of neither writes to it nor ends it. */
const OF_PROGRAMS = ['stdout', 'stderr', 'stdin', 'exit', 'exitCode', 'argv'].map(property => ({
  object: 'process',
  property,
  message: 'Only src/cli may use this.',
}));

export default defineConfig(
  { ignores: ['build/', 'dist/', 'coverage/', 'node_modules/', 'src/rpc/gen/'] },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    plugins: { project: { rules: { imports: importRule } } },
    rules: {
      'project/imports': 'error',
      eqeqeq: 'error',
      'no-console': 'error',
      'no-restricted-properties': ['error', ...OF_PROGRAMS],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', ignoreRestSiblings: true }],
      '@typescript-eslint/no-confusing-void-expression': [
        'error',
        { ignoreArrowShorthand: true, ignoreVoidReturningFunctions: true },
      ],
      '@typescript-eslint/no-invalid-void-type': ['error', { allowAsThisParameter: true }],
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      // What noUncheckedIndexedAccess cannot see, a reader often can.
      '@typescript-eslint/no-non-null-assertion': 'off',
    },
  },
  {
    files: ['src/cli/**', 'test/**', 'scripts/**', 'bench/**', 'bin/**', 'native/**'],
    rules: { 'no-console': 'off', 'no-restricted-properties': 'off' },
  },
  { files: ['**/*.js', '**/*.mjs', 'bin/*'], extends: [tseslint.configs.disableTypeChecked] },
);
