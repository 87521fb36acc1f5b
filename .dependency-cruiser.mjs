// The layer rule (docs/design.md): in the core each folder imports only those before it in LAYERS, heap.ts imports all
// of them, and the entry points (the other files beside it) import anything. Imports of types count as well.

const LAYERS = ['memory', 'page', 'slab', 'kmalloc', 'debug', 'stat'];
const CORE = '^packages/modslab/src/';

const layerRules = LAYERS.map((layer, i) => ({
  name: `layer-${layer}`,
  comment: `${layer}/ imports only ${['itself', ...LAYERS.slice(0, i)].join(', ')}`,
  severity: 'error',
  from: { path: `${CORE}${layer}/` },
  to: { path: CORE, pathNot: `${CORE}(${LAYERS.slice(0, i + 1).join('|')})/` },
}));

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    ...layerRules,
    {
      name: 'layer-heap',
      comment: 'heap.ts imports the layers, no entry point',
      severity: 'error',
      from: { path: `${CORE}heap[.]ts$` },
      to: { path: CORE, pathNot: `${CORE}(${LAYERS.join('|')})/` },
    },
    {
      name: 'layer-wasm',
      comment:
        'wasm/ is on top of the heap: it imports it and the layers, and nothing but wasm.ts imports it',
      severity: 'error',
      from: { path: CORE, pathNot: `${CORE}wasm([.]ts$|/)` },
      to: { path: `${CORE}wasm/` },
    },
    {
      name: 'layer-collections',
      comment:
        'collections/ is on top of the heap: it imports it and the layers, and nothing but collections.ts imports it',
      severity: 'error',
      from: { path: CORE, pathNot: `${CORE}collections([.]ts$|/)` },
      to: { path: `${CORE}collections/` },
    },
    {
      name: 'layer-unknown',
      comment: 'a folder of the core that has no place in LAYERS yet',
      severity: 'error',
      from: { path: CORE },
      to: { path: `${CORE}[^/]+/`, pathNot: `${CORE}(${LAYERS.join('|')}|wasm|collections)/` },
    },
    {
      name: 'no-circular',
      comment: 'no cycles anywhere',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'core-is-portable',
      comment: 'the core runs in browsers too and has no dependency: only node.ts may import from Node',
      severity: 'error',
      from: { path: CORE, pathNot: `${CORE}node[.]ts$` },
      to: { pathNot: CORE },
    },
    {
      name: 'by-package-name',
      comment: 'other packages import modslab by its name, as users do',
      severity: 'error',
      from: { pathNot: '^packages/modslab/' },
      to: { path: '^packages/modslab/', dependencyTypes: ['local'] },
    },
    {
      name: 'not-to-unresolvable',
      comment: 'an import that leads nowhere (examples/serve.mjs serves /modslab/ to browsers)',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true, pathNot: '^/modslab/' },
    },
  ],
  options: {
    doNotFollow: { path: ['node_modules', '/dist/'] },
    exclude: { path: ['/build/', '/[.]cache/'] },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.base.json' },
    enhancedResolveOptions: {
      conditionNames: ['import', 'node', 'default'],
      exportsFields: ['exports'],
      extensions: ['.ts', '.js', '.mjs'],
    },
  },
};
