import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const base = process.env.SITE_BASE ?? '/';
const page = (text, link) => ({ text, link });
const hasBenchmarks = existsSync(fileURLToPath(new URL('../.pages/guide/benchmarks.md', import.meta.url)));

export default {
  title: 'modslab',
  description: 'A modular slab allocator with a kmalloc subsystem, for the shared memory of JavaScript',
  base,
  srcDir: '.pages',
  outDir: 'dist',
  cacheDir: '.cache',
  cleanUrls: false,
  lastUpdated: false,
  // TypeDoc makes these pages afterwards; links.mjs checks them.
  ignoreDeadLinks: [/^\/api\//],
  markdown: { lineNumbers: false },
  themeConfig: {
    nav: [
      page('Guide', '/guide/'),
      page('Demo', '/demo'),
      { text: 'API', link: '/api/index.html', target: '_self' },
      page('Changes', '/changelog'),
    ],
    search: { provider: 'local' },
    outline: [2, 3],
    sidebar: [
      {
        text: 'Use',
        items: [
          page('Overview', '/guide/'),
          page('Structs and collections', '/guide/collections'),
          page('WebAssembly', '/guide/wasm'),
          page('Examples', '/guide/examples'),
          page('Live demo', '/demo'),
        ],
      },
      {
        text: 'Packages',
        items: [
          page('modslab', '/packages/modslab'),
          page('@modslab/cli', '/packages/cli'),
          page('@modslab/thi.ng-malloc', '/packages/thi.ng-malloc'),
          page('Versions', '/guide/versions'),
        ],
      },
      {
        text: 'How it works',
        items: [
          page('Design', '/guide/design'),
          page('Reliability', '/guide/reliability'),
          page('Is virt_to_page slow?', '/guide/virt-to-page'),
          page('Size classes', '/guide/size-classes'),
          page('Addresses above 4 GiB', '/guide/addresses-above-4gib'),
          ...(hasBenchmarks ? [page('Benchmarks', '/guide/benchmarks')] : []),
          page('Benchmark suite', '/guide/bench'),
          page('WebAssembly clients', '/guide/clients'),
        ],
      },
    ],
  },
};
