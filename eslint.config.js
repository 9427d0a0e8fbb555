import { globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';

/** Type-aware and strict where a mistake would cost someone a run: promises that nobody awaits, `any`, unsafe casts. */
export default tseslint.config(
  globalIgnores([
    'dist/',
    'node_modules/',
    'coverage/',
    'demo/',
    'runs/',
    'data/',
    'forecasters/',
    '.verify/',
  ]),
  {
    files: ['src/**/*.ts', 'plugins/**/*.ts', 'test/**/*.ts', 'bench/**/*.ts'],
    extends: [...tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'separate-type-imports' }],
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      'no-restricted-syntax': [
        'error',
        {
          selector: 'TSAsExpression > TSAsExpression[typeAnnotation.type="TSUnknownKeyword"]',
          message: 'No double casts: narrow the value, or say what it is where it is made.',
        },
        { selector: 'ExportDefaultDeclaration', message: 'Named exports only.' },
      ],
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'no-console': 'error',
      'prefer-const': 'error',
      // With noUncheckedIndexedAccess, `data[i]!` inside a counted loop is the honest way to index.
      '@typescript-eslint/no-non-null-assertion': 'off',
      // Numbers and booleans read well in messages.
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      // `() => things.push(x)` and `() => void` factories are our style.
      '@typescript-eslint/no-confusing-void-expression': 'off',
      // TypeScript takes a getter such as `signal.aborted` for constant once it was looked at.
      '@typescript-eslint/no-unnecessary-condition': 'off',
      // Plugins implement async contracts, often without anything to wait for.
      '@typescript-eslint/require-await': 'off',
      // An abort signal's reason is whatever was passed to abort().
      '@typescript-eslint/prefer-promise-reject-errors': 'off',
      '@typescript-eslint/only-throw-error': 'off',
    },
  },
  // Standard output belongs to the commands.
  { files: ['src/cli/**/*.ts', 'bench/**/*.ts'], rules: { 'no-console': 'off' } },
  {
    files: ['**/*.{js,mjs,cjs}'],
    extends: [tseslint.configs.base],
    rules: { eqeqeq: ['error', 'always', { null: 'ignore' }], 'prefer-const': 'error', 'no-var': 'error' },
  },
);
