/// <reference lib="dom" preserve="true" />
/// <reference lib="dom.iterable" preserve="true" />
/** `@modslab/cli/inspector`: the inspector as a module, for pages that have a heap. */

export {
  type HeapSource,
  heapSource,
  SourceError,
  serverSource,
  snapshotSource,
} from './inspector/model/source.ts';
export { type Inspector, type InspectorOptions, mountInspector } from './inspector/view/app.ts';
