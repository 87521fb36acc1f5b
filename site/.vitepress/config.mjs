import { readdirSync, readFileSync } from 'node:fs';

const base = process.env.SITE_BASE ?? '/';
const page = (text, link) => ({ text, link });

const LISTED = [
  'index',
  'collections',
  'wasm',
  'examples',
  'versions',
  'design',
  'reliability',
  'virt-to-page',
  'size-classes',
];
LISTED.push('addresses-above-4gib', 'bench', 'clients');
const guide = new URL('../.pages/guide/', import.meta.url);
/** Documents that have no place of their own below, by their titles. */
const others = readdirSync(guide)
  .filter((name) => name.endsWith('.md') && !LISTED.includes(name.slice(0, -3)))
  .map((name) => {
    const [, title] = /^# (.+)$/m.exec(readFileSync(new URL(name, guide), 'utf8')) ?? [];
    return page(title ?? name, `/guide/${name.slice(0, -3)}`);
  });

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
          page('Guide', '/guide/guide'),
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
          ...others,
          page('Benchmark suite', '/guide/bench'),
          page('WebAssembly clients', '/guide/clients'),
        ],
      },
    ],
  },
};
