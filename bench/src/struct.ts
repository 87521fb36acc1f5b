/**
 * What the accessors of `heap.struct` cost, `npm run bench:struct`: particles `{ x: 'f64', y: 'f64', vx: 'f64', vy: 'f64',
 * id: 'u32', hits: 'u32' }` are moved one step, and a vertex's array of four floats is summed, by
 *
 *     struct      P.setX(p, P.x(p) + P.vx(p)), …
 *     heap views  heap.f64[(p >>> 3) + 0] += …, the property read again at every access, so that growth is followed
 *     DataView    one kept, with little-endian calls; it does not follow growth
 *     f64 kept    a Float64Array kept in a local variable: the least; it does not follow growth
 *
 * Nanoseconds a particle (five reads of f64, two writes, one read and one write of u32) and an element; the best of many rounds
 * that take turns.
 */

import { Heap } from 'modslab';

const OBJECTS = 4096;
const ROUNDS = 200;

const heap = Heap.create({ size: 2 ** 22, maxSize: 2 ** 24 });
const P = heap.struct({ x: 'f64', y: 'f64', vx: 'f64', vy: 'f64', id: 'u32', hits: 'u32' });
const V = heap.struct({ w: ['f32', 4] });
const particles = Uint32Array.from({ length: OBJECTS }, () => P.alloc());
const vertices = Uint32Array.from({ length: OBJECTS }, () => V.alloc());
const FIELD = { x: 0, y: 1, vx: 2, vy: 3, hits: 9 } as const;

function moveByStruct(): void {
  for (let i = 0; i < OBJECTS; i++) {
    const p = particles[i];
    P.setX(p, P.x(p) + P.vx(p));
    P.setY(p, P.y(p) + P.vy(p));
    if (P.x(p) < 0) P.setHits(p, P.hits(p) + 1);
  }
}

function moveByViews(): void {
  for (let i = 0; i < OBJECTS; i++) {
    const at = particles[i] >>> 3;
    heap.f64[at + FIELD.x] += heap.f64[at + FIELD.vx];
    heap.f64[at + FIELD.y] += heap.f64[at + FIELD.vy];
    if (heap.f64[at + FIELD.x] < 0) heap.u32[2 * at + FIELD.hits]++;
  }
}

function moveByDataView(): void {
  const { dataView } = heap;
  for (let i = 0; i < OBJECTS; i++) {
    const p = particles[i];
    dataView.setFloat64(p, dataView.getFloat64(p, true) + dataView.getFloat64(p + 16, true), true);
    dataView.setFloat64(p + 8, dataView.getFloat64(p + 8, true) + dataView.getFloat64(p + 24, true), true);
    if (dataView.getFloat64(p, true) < 0)
      dataView.setUint32(p + 36, dataView.getUint32(p + 36, true) + 1, true);
  }
}

function moveByKept(): void {
  const { f64, u32 } = heap;
  for (let i = 0; i < OBJECTS; i++) {
    const at = particles[i] >>> 3;
    f64[at + FIELD.x] += f64[at + FIELD.vx];
    f64[at + FIELD.y] += f64[at + FIELD.vy];
    if (f64[at + FIELD.x] < 0) u32[2 * at + FIELD.hits]++;
  }
}

function sumByStruct(): number {
  let sum = 0;
  for (let i = 0; i < OBJECTS; i++) for (let j = 0; j < 4; j++) sum += V.w(vertices[i], j);
  return sum;
}

function sumByViews(): number {
  let sum = 0;
  for (let i = 0; i < OBJECTS; i++) for (let j = 0; j < 4; j++) sum += heap.f32[(vertices[i] >>> 2) + j];
  return sum;
}

function sumByDataView(): number {
  const { dataView } = heap;
  let sum = 0;
  for (let i = 0; i < OBJECTS; i++)
    for (let j = 0; j < 4; j++) sum += dataView.getFloat32(vertices[i] + 4 * j, true);
  return sum;
}

function sumByKept(): number {
  const { f32 } = heap;
  let sum = 0;
  for (let i = 0; i < OBJECTS; i++) for (let j = 0; j < 4; j++) sum += f32[(vertices[i] >>> 2) + j];
  return sum;
}

for (let i = 0; i < OBJECTS; i++) {
  P.setX(particles[i], i);
  P.setVx(particles[i], i % 3 === 0 ? -1 : 1);
  P.setY(particles[i], 0);
  P.setVy(particles[i], 0.5);
  P.setHits(particles[i], 0);
  for (let j = 0; j < 4; j++) V.setW(vertices[i], j, j);
}

const contestants = [
  { name: 'struct', move: moveByStruct, sum: sumByStruct },
  { name: 'heap views', move: moveByViews, sum: sumByViews },
  { name: 'DataView', move: moveByDataView, sum: sumByDataView },
  { name: 'f64 kept', move: moveByKept, sum: sumByKept },
].map((each) => ({ ...each, moveNs: Number.MAX_VALUE, sumNs: Number.MAX_VALUE }));

const timed = (run: () => unknown): number => {
  const start = performance.now();
  run();
  return ((performance.now() - start) * 1e6) / OBJECTS;
};
for (let round = 0; round < ROUNDS; round++) {
  for (const each of contestants) {
    each.moveNs = Math.min(each.moveNs, timed(each.move));
    each.sumNs = Math.min(each.sumNs, timed(each.sum) / 4);
  }
}
console.log('| access | ns a particle | ns an array element |\n|---|---:|---:|');
for (const { name, moveNs, sumNs } of contestants)
  console.log(`| ${name} | ${moveNs.toFixed(1)} | ${sumNs.toFixed(2)} |`);
