// Builds the documentation site into site/dist. Run by `npm run docs:site`; site/README.md says what is where.
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, extname, join, normalize, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { checkLinks } from './links.mjs';
import { serve } from './serve.mjs';

const site = dirname(fileURLToPath(import.meta.url));
const root = dirname(site);
const pages = join(site, '.pages');
const dist = join(site, 'dist');
const base = process.env.SITE_BASE ?? '/';

/** Documents of the repository, and where they stand in the site. Those of docs/ are all taken, under guide/. */
const DOCUMENTS = {
  'README.md': 'guide/index.md',
  'CHANGELOG.md': 'changelog.md',
  'examples/README.md': 'guide/examples.md',
  'clients/README.md': 'guide/clients.md',
  'bench/README.md': 'guide/bench.md',
  'packages/modslab/README.md': 'packages/modslab.md',
  'packages/cli/README.md': 'packages/cli.md',
  'packages/thi.ng-malloc/README.md': 'packages/thi.ng-malloc.md',
  'packages/cli/traces/README.md': 'packages/traces.md',
};
for (const name of readdirSync(join(root, 'docs')).filter((each) => each.endsWith('.md')))
  DOCUMENTS[`docs/${name}`] = `guide/${name}`;

const LANGUAGES = {
  '.mjs': 'js',
  '.cjs': 'js',
  '.ts': 'ts',
  '.c': 'c',
  '.h': 'c',
  '.html': 'html',
  '.yml': 'yaml',
  '.json': 'json',
};

const wrong = [];
const shown = new Set();

function write(page, text) {
  mkdirSync(dirname(join(pages, page)), { recursive: true });
  writeFileSync(join(pages, page), text);
}

/** A page that shows a file of the repository. */
function show(file) {
  // VitePress leaves folders out whose names begin with a dot, and takes .html for its own.
  const page = `source/${file.replace(/(^|\/)[.]/g, '$1').replace(/[.]html$/, '-html')}.md`;
  if (!shown.has(file)) {
    shown.add(file);
    const language = LANGUAGES[extname(file)] ?? extname(file).slice(1);
    const code = readFileSync(join(root, file), 'utf8');
    write(page, `---\noutline: false\n---\n# ${file}\n\n\`\`\`\`\`${language}\n${code}\n\`\`\`\`\`\n`);
  }
  return page;
}

/** Where a link of a document leads in the site. */
function target(document, link) {
  if (/^([a-z]+:|#)/.test(link)) return link;
  const [path, anchor] = link.split('#');
  let file = normalize(join(dirname(document), path));
  if (existsSync(join(root, file, 'README.md'))) file = join(file, 'README.md');
  const hash = anchor === undefined ? '' : `#${anchor}`;
  if (DOCUMENTS[file] !== undefined) return `/${DOCUMENTS[file]}${hash}`;
  if (!existsSync(join(root, file)) || !statSync(join(root, file)).isFile()) {
    wrong.push(`${document}: ${link} leads nowhere`);
    return undefined;
  }
  if (['.svg', '.png'].includes(extname(file))) {
    const copy = join(pages, 'guide/img', file.split('/').pop());
    mkdirSync(dirname(copy), { recursive: true });
    copyFileSync(join(root, file), copy);
    return `/guide/img/${file.split('/').pop()}`;
  }
  return `/${show(file)}${hash}`;
}

/** A document as a page: links rewritten outside of code; what Vue would take for a template is left as text. */
function convert(document) {
  let isCode = false;
  const lines = readFileSync(join(root, document), 'utf8').split('\n');
  const converted = lines.map((line) => {
    if (/^\s*(```|~~~)/.test(line)) isCode = !isCode;
    if (isCode || /^ {4}/.test(line)) return line;
    return line
      .replace(/\]\(([^)\s]+)\)/g, (whole, link) => {
        const to = target(document, link);
        return to === undefined ? ']' : whole.replace(link, to);
      })
      .replaceAll('{{', '&#123;&#123;');
  });
  return converted.join('\n');
}

function run(what, command, args, options) {
  const { status } = spawnSync(command, args, { cwd: root, stdio: 'inherit', ...options });
  if (status !== 0) {
    console.error(`${what}: status ${status}`);
    process.exit(1);
  }
}

rmSync(pages, { recursive: true, force: true });
for (const [document, page] of Object.entries(DOCUMENTS)) {
  if (!existsSync(join(root, document))) {
    wrong.push(`${document} is not there`);
    continue;
  }
  write(page, convert(document));
}
for (const name of readdirSync(join(site, 'pages')))
  write(name, readFileSync(join(site, 'pages', name), 'utf8'));
if (wrong.length > 0) {
  console.error(wrong.join('\n'));
  process.exit(1);
}

const publicFolder = join(pages, 'public');
await build({
  entryPoints: { demo: join(site, 'demo/demo.js'), worker: join(site, 'demo/worker.js') },
  outdir: join(publicFolder, 'demo'),
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
});
copyFileSync(join(root, 'examples/browser/isolate.js'), join(publicFolder, 'isolate.js'));

run('vitepress', join(site, 'node_modules/.bin/vitepress'), ['build', site], {
  env: { ...process.env, SITE_BASE: base },
});
run('typedoc', join(root, 'node_modules/.bin/typedoc'), ['--out', join(dist, 'api'), '--logLevel', 'Warn']);
const { links, problems } = checkLinks(dist, base);
for (const problem of problems) console.error(problem);
console.log(`${relative(root, dist)}: ${links} links checked, ${problems.length} lead nowhere`);
if (problems.length > 0) process.exitCode = 1;
else if (process.argv.includes('--serve')) serve(dist, { port: 8090, base });
