// Node's spec reporter, except that the closing figures are printed as `# tests N`, `# pass N`, … on every version of
// Node, terminal or not (that is how CI reads them). With MODSLAB_TEST_LABEL set the label stands in for the `#`, so
// that a second run within one `npm test` is not taken for the run.
import { Readable } from 'node:stream';
import { spec } from 'node:test/reporters';

const label = process.env.MODSLAB_TEST_LABEL ?? '#';
const figures = /ℹ (?=(?:tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) [\d.]+)/g;

export default async function* reporter(source) {
  for await (const chunk of Readable.from(source).pipe(new spec())) {
    yield String(chunk).replace(figures, () => `${label} `);
  }
}
