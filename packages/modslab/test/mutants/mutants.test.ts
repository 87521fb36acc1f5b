// The list of mutants fits the sources: each edit's text stands exactly once. `npm run test:mutants` runs them.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { packageRoot } from '../explore/transform.ts';
import { mutants } from './mutants.ts';

test('there are at least 25 mutants, and each changes one place of the sources', () => {
  assert.ok(mutants.length >= 25);
  for (const { file, text, by, breaks } of mutants) {
    const source = readFileSync(join(packageRoot, 'src', file), 'utf8');
    assert.equal(source.split(text).length - 1, 1, `${breaks}: the text stands once in ${file}`);
    assert.notEqual(
      source.replace(text, () => by),
      source,
      breaks,
    );
  }
});
