// The size budget (README): what a bundler makes of `import { Heap } from 'modslab'`, minified and gzipped.
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { root } from './workspace.mjs';

const GOAL = 10_000; // bytes: what the design asks for
const BUDGET = 48_000; // bytes: what it may be today, so that it does not grow unseen

const { outputFiles, metafile } = await build({
  stdin: { contents: "import { Heap } from 'modslab'; console.log(Heap);", resolveDir: root },
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  legalComments: 'none',
  write: false,
  metafile: true,
});
const bytes = gzipSync(outputFiles[0].contents, { level: 9 }).length;
console.log(
  `import { Heap }: ${bytes} bytes minified and gzipped (${outputFiles[0].contents.length} minified), goal ${GOAL}, limit ${BUDGET}`,
);
if (bytes > BUDGET || process.argv.includes('--verbose')) {
  const parts = Object.entries(Object.values(metafile.outputs)[0].inputs)
    .map(([file, { bytesInOutput }]) => [bytesInOutput, file])
    .sort(([a], [b]) => b - a);
  for (const [size, file] of parts) console.log(`${String(size).padStart(8)} ${file}`);
}
if (bytes > BUDGET) {
  console.error(`${bytes - BUDGET} bytes above the limit`);
  process.exitCode = 1;
}
