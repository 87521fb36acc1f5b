/** All traces of the public set on 1, 2 and 4 threads, verified: some minutes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { replayWell, sharedTrace } from './helpers.ts';

/** Events and objects as the set's README has them; for kernel traces, what must be skipped and implied. */
const TRACES: [name: string, events: number, objects: number, skipped?: number[]][] = [
  ['cc1.mtrace.gz', 1_240_247, 617_898],
  ['node-npm-ls.mtrace.gz', 1_145_405, 582_785],
  ['python3-json.mtrace.gz', 1_174_352, 572_110],
  ['redis.mtrace.gz', 1_161_897, 581_785],
  ['rsyslogd.mtrace.gz', 758_073, 378_183],
  ['sqlite3.mtrace.gz', 1_401_760, 695_787],
  ['kernel-host-fs.ftrace.txt.gz', 317_137, 31_430 + 106_455 + 21_553, [12_869, 4_385, 4_581]],
  ['kernel-qemu-boot.ftrace.txt.gz', 217_769, 27_370 + 89_568 + 28_907, [6_426, 2_127, 2]],
];

for (const [name, events, objects, skipped] of TRACES) {
  const file = sharedTrace(name);
  for (const threads of [1, 2, 4]) {
    test(`${name} on ${threads}`, {
      timeout: 600_000,
      skip: file === undefined && 'no ../shared/traces beside the repository',
    }, () => {
      const json = replayWell(file ?? '', '--verify', '--threads', String(threads));
      assert.deepEqual([json.events, json.objects, json.verified], [events, objects, objects]);
      assert.equal(json.crossThreadFrees > 0, threads > 1);
      const { nullFrees, unmatchedFrees } = json.skipped;
      if (skipped) assert.deepEqual([nullFrees, unmatchedFrees, json.implied.impliedFrees], skipped);
      else assert.deepEqual(json.skipped, {});
    });
  }
}
