// What a bundler makes of each entry point, minified and gzipped: alone, and what it adds to a program that imports Heap. Fails
// if `import { Heap }` is above its limit.
//
//   node scripts/size.mjs [--readme] [--verbose]      --readme: writes the table into README.md
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { packages, root } from './workspace.mjs';

const GOAL = 10_000; // bytes: what the design asks for
const BUDGET = 70_000; // bytes: what it may be today, so that it does not grow unseen
const HEAP = "export { Heap } from 'modslab';";
const [BEGIN, END] = ['<!-- sizes: npm run size -- --readme -->', '<!-- /sizes -->'];

async function bundle(contents) {
  const { outputFiles, metafile } = await build({
    stdin: { contents, resolveDir: root },
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    legalComments: 'none',
    write: false,
    metafile: true,
    external: ['node:*'],
  });
  const [{ contents: code }] = outputFiles;
  return { minified: code.length, gzipped: gzipSync(code, { level: 9 }).length, metafile };
}

const heap = await bundle(HEAP);
const kilobytes = (bytes) => (bytes / 1000).toFixed(1);
const rows = [['`import { Heap }`', kilobytes(heap.gzipped), '']];
for (const { name, json } of packages().filter((pkg) => pkg.json.exports && !pkg.json.private)) {
  for (const path of Object.keys(json.exports)) {
    const specifier = name + path.slice(1);
    if (specifier === 'modslab' || path.endsWith('.json') || name === '@modslab/cli' || path === './api')
      continue;
    const all = `export * from '${specifier}';`;
    const alone = await bundle(all);
    const beside = await bundle(HEAP + all.replace('*', '* as more'));
    rows.push([`\`${specifier}\``, kilobytes(alone.gzipped), kilobytes(beside.gzipped - heap.gzipped)]);
  }
}
const table = [
  '| | alone, kB | beside Heap, kB |',
  '|---|---:|---:|',
  ...rows.map((row) => `| ${row.join(' | ')} |`),
].join('\n');
console.log(table);
console.log(
  `import { Heap }: ${heap.gzipped} bytes (${heap.minified} minified), goal ${GOAL}, limit ${BUDGET}`,
);

if (process.argv.includes('--readme')) {
  const file = join(root, 'README.md');
  const text = readFileSync(file, 'utf8');
  const [before, rest] = text.split(BEGIN);
  writeFileSync(file, `${before}${BEGIN}\n\n${table}\n\n${END}${rest.split(END)[1]}`);
}
if (heap.gzipped > BUDGET || process.argv.includes('--verbose')) {
  const parts = Object.entries(Object.values(heap.metafile.outputs)[0].inputs)
    .map(([file, { bytesInOutput }]) => [bytesInOutput, file])
    .sort(([a], [b]) => b - a);
  for (const [size, file] of parts) console.log(`${String(size).padStart(8)} ${file}`);
}
if (heap.gzipped > BUDGET) {
  console.error(`${heap.gzipped - BUDGET} bytes above the limit`);
  process.exitCode = 1;
}
