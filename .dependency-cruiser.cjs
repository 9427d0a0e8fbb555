/** Who may import whom: the rules of ARCHITECTURE.md. Run by `npm run check`. */

/** The API that plugins are written against. */
const contracts =
  '^src/(pipeline/(errors|frame|forecast|run|plugins/plugin|config/config)|forecaster/network|engine/types)\\.ts$';
const runtimes =
  '(^|/)node_modules/(onnxruntime-|@tensorflow/tfjs(/|-backend|-node|-layers|-data|-converter))';

module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      comment: 'What imports each other is one thing in two files. Types count too.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'only-the-registry-names-plugins',
      comment:
        'Plugins are found by kind and name: use loadPlugin or createPlugin of src/pipeline/plugins/registry.ts.',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/pipeline/plugins/registry\\.ts$' },
      to: { path: '^plugins/' },
    },
    {
      name: 'plugins-stand-alone',
      comment:
        "A plugin imports what a third party could: contracts, its own kind's helpers, packages. Never another plugin.",
      severity: 'error',
      from: { path: '^plugins/' },
      to: { path: '^plugins/' },
    },
    {
      name: 'plugins-import-contracts-only',
      comment: "Plugins know the pipeline's contracts, not its stages, runner, engine, training or commands.",
      severity: 'error',
      from: { path: '^plugins/' },
      to: {
        path: '^src/(stages|cli|training)/|^src/engine/(?!types)|^src/pipeline/(runner|ledger/|plugins/registry|config/load-config|forecast-once)',
      },
    },
    {
      name: 'networks-are-pure-tfjs',
      comment:
        'Encoders, predictors and decoders are tensor functions: tfjs-core, src/forecaster, contracts and zod only.',
      severity: 'error',
      from: { path: '^plugins/(encoders|predictors|decoders)/' },
      to: {
        pathNot: ['^src/forecaster/', contracts, '(^|/)node_modules/(@tensorflow/tfjs-core|zod)(/|$)'],
      },
    },
    {
      name: 'stages-stand-alone',
      comment: 'Stages are joined by the runner alone.',
      severity: 'error',
      from: { path: '^src/stages/([^/]+)\\.ts$' },
      to: { path: '^src/(stages|cli|training)/', pathNot: '^src/stages/$1\\.ts$' },
    },
    {
      name: 'stages-are-joined-by-the-runner',
      comment: 'Only the runner and its one-shot twin know the stages; tests too.',
      severity: 'error',
      from: { path: '^(src|plugins)/', pathNot: '^src/(stages/|pipeline/(runner|forecast-once))' },
      to: { path: '^src/stages/' },
    },
    {
      name: 'runtimes-in-the-engine-only',
      comment:
        "ONNX Runtime and tfjs backends are src/engine's business; elsewhere import @tensorflow/tfjs-core.",
      severity: 'error',
      from: { path: '^(src|plugins)/', pathNot: '^src/engine/' },
      to: { path: runtimes },
    },
    {
      name: 'training-knows-no-network',
      comment: 'The trainer gets encoder, predictor and decoder through the registry.',
      severity: 'error',
      from: { path: '^src/(training|evaluation|uncertainty)/' },
      to: { path: '^(plugins|src/cli|src/stages)/' },
    },
    {
      name: 'commands-are-the-top',
      comment: 'Nothing imports the command line.',
      severity: 'error',
      from: { path: '^(src|plugins)/', pathNot: '^src/cli/' },
      to: { path: '^src/cli/' },
    },
    {
      name: 'no-undeclared-packages',
      comment: 'What ships imports only what package.json lists under dependencies.',
      severity: 'error',
      from: { path: '^(src|plugins)/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'] },
    },
    {
      name: 'resolvable',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true, pathNot: '^@tensorflow/tfjs-node' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
    },
  },
};
