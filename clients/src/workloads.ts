/** What each program is made to do, with results that are known beforehand. Every workload throws if one is wrong. */

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Running } from './instance.ts';
import type { ProgramName } from './programs.ts';

const SQLITE_OK = 0;

function expect(what: string, actual: unknown, expected: unknown): void {
  if (actual !== expected) throw new Error(`${what}: ${String(actual)} instead of ${String(expected)}`);
}

/** One statement or several; what they print. */
function query(sqlite: Running, sql: string): string {
  const text = sqlite.put(sql);
  const status = sqlite.exports.execute(text);
  sqlite.exports.release(text);
  const output = sqlite.output();
  if (status !== SQLITE_OK) throw new Error(`SQLite: status ${status}, ${output}`);
  return output.trimEnd();
}

/** A value of a table's row, as JavaScript and SQL both compute it. */
const amountOf = (id: number): number => (id * 7919) % 1000;

/** `rows` rows in, joined, grouped, updated, deleted, checked. The sums are computed here a second time. */
export function runSqlite(sqlite: Running, rows: number): void {
  expect('open', sqlite.exports.openDatabase(), SQLITE_OK);
  query(
    sqlite,
    `CREATE TABLE customer(id INTEGER PRIMARY KEY, name TEXT, note TEXT);
     CREATE TABLE booking(id INTEGER PRIMARY KEY, customer INTEGER, amount INTEGER, memo TEXT);`,
  );
  const customers = Math.max(1, Math.floor(rows / 20));
  query(
    sqlite,
    `BEGIN;
     WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${customers})
       INSERT INTO customer SELECT i, 'customer ' || i, hex(zeroblob(i % 300)) FROM n;
     WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${rows})
       INSERT INTO booking SELECT i, 1 + i % ${customers}, i * 7919 % 1000, 'memo ' || i || hex(zeroblob(i % 40)) FROM n;
     COMMIT;
     CREATE INDEX booking_customer ON booking(customer, amount);`,
  );
  let [sum, above] = [0, 0];
  for (let id = 1; id <= rows; id++) {
    sum += amountOf(id);
    if (amountOf(id) > 900) above++;
  }
  expect('sum', query(sqlite, 'SELECT sum(amount) FROM booking'), String(sum));
  const joined =
    'SELECT count(*), sum(total) FROM (SELECT c.name, sum(b.amount) AS total FROM customer c JOIN booking b ON b.customer = c.id GROUP BY c.name ORDER BY total DESC, c.name)';
  expect('join', query(sqlite, joined), `${customers}|${sum}`);
  const sorted = query(sqlite, `SELECT memo FROM booking ORDER BY memo DESC LIMIT 3`);
  expect('sorted rows', sorted.split('\n').length, 3);
  query(sqlite, 'UPDATE booking SET amount = amount + 1, memo = memo || memo WHERE amount > 900');
  expect('updated', query(sqlite, 'SELECT sum(amount) FROM booking'), String(sum + above));
  for (let i = 0; i < rows / 10; i++) {
    const id = 1 + ((i * 31) % rows);
    query(sqlite, `SELECT c.name FROM booking b JOIN customer c ON c.id = b.customer WHERE b.id = ${id}`);
  }
  query(sqlite, 'DELETE FROM booking WHERE amount % 2 = 0');
  query(sqlite, 'VACUUM');
  expect('integrity', query(sqlite, 'PRAGMA integrity_check'), 'ok');
  expect('close', sqlite.exports.closeDatabase(), SQLITE_OK);
}

/** Scripts, and what they print for a size of n. */
const LUA_SCRIPTS: readonly { script: (n: number) => string; prints: (n: number) => string }[] = [
  {
    // Binary trees: many small objects, made and dropped.
    script: (n) => `
      local function tree(depth) if depth == 0 then return {} end return {tree(depth - 1), tree(depth - 1)} end
      local function count(t) if t[1] == nil then return 1 end return 1 + count(t[1]) + count(t[2]) end
      local total = 0
      for i = 1, ${n} do total = total + count(tree(10)) end
      print(total)`,
    prints: (n) => String(n * 2047),
  },
  {
    // Strings: concatenated, cut up, put together from a table.
    script: (n) => `
      local words, length = {}, 0
      for i = 1, ${n} * 500 do
        local w = ("word" .. i):rep(1 + i % 5)
        words[i] = w:sub(1, -2):upper()
        length = length + #words[i]
      end
      print(length == #table.concat(words), #words)`,
    prints: (n) => `true\t${n * 500}`,
  },
  {
    // Tables that grow, are sorted, and used as hashes; errors caught; coroutines.
    script: (n) =>
      `
      local t, seen = {}, {}
      for i = 1, ${n} * 300 do t[i] = (i * 7919) % 10007; seen["k" .. t[i]] = i end
      table.sort(t)
      for i = 2, #t do assert(t[i - 1] <= t[i]) end
      local caught = 0
      for i = 1, 200 do if not pcall(function() error({i}) end) then caught = caught + 1 end end
      local gen = coroutine.wrap(function() for i = 1, 1000 do coroutine.yield(i) end end)
      local sum = 0
      for i = 1, 1000 do sum = sum + gen() end
      local ok, message = pcall(string.rep, "x", -1 >>> 1)
      print(#t, caught, sum)`.replace('>>>', '>>'),
    prints: (n) => `${n * 300}\t200\t500500`,
  },
];

export function runLua(lua: Running, n: number): void {
  for (const { script, prints } of LUA_SCRIPTS) {
    const text = lua.put(script(n));
    const status = lua.exports.run(text);
    lua.exports.release(text);
    const output = lua.output().trimEnd();
    expect(`Lua: ${output}; status`, status, 0);
    expect('Lua', output, prints(n));
  }
}

/** A real file of a few megabytes: TypeScript's compiler. */
export function realFile(bytes: number): Uint8Array {
  return readFileSync(createRequire(import.meta.url).resolve('typescript')).subarray(0, bytes);
}

/** Compresses and decompresses a file at each level; the sizes. */
export function runZstd(zstd: Running, file: Uint8Array, levels: readonly number[]): number[] {
  const source = zstd.put(file);
  const sizes = levels.map((level) => zstd.exports.roundTrip(source, file.length, level));
  zstd.exports.release(source);
  for (const [i, size] of sizes.entries()) {
    if (size <= 0 || size >= file.length / 2) throw new Error(`zstd at level ${levels[i]}: ${size}`);
  }
  return sizes;
}

/** The workload of each program that runs on one thread; `effort` 1 is for tests. */
export const WORKLOADS: Record<
  Exclude<ProgramName, 'threads'>,
  (running: Running, effort: number) => void
> = {
  sqlite: (running, effort) => runSqlite(running, 4000 * effort),
  lua: (running, effort) => runLua(running, 40 * effort),
  zstd: (running, effort) => {
    const file = realFile(1_000_000 * effort);
    for (let i = 0; i < 3; i++) runZstd(running, file, [1, 3, 9]);
  },
};
