// UTF-8 in shared memory: what is written is what is read.
import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { decodeByHand, decodeText, encodeByHand, encodeText } from '#src/memory/text.js';
import { smallHeap, thrownBy } from './support/heap.js';

function roundTrip(text: string): string {
  const bytes = encodeText(text);
  const shared = new Uint8Array(new SharedArrayBuffer(bytes.length + 10));
  shared.fill(0x41);
  shared.set(bytes, 5);
  return decodeText(shared, 5, bytes.length);
}

test('any text comes back from shared memory as it was', () => {
  fc.assert(fc.property(fc.string({ unit: 'grapheme' }), (text) => roundTrip(text) === text));
  for (const text of ['', 'a', 'Zürich', '漢字', '🧱', 'a\0b', '\u{10ffff}']) {
    assert.equal(roundTrip(text), text);
  }
});

test('a byte order mark is text like any other', () => {
  assert.equal(roundTrip('\ufeffname'), '\ufeffname');
});

test('bytes that are no UTF-8 become replacement characters', () => {
  assert.equal(decodeText(Uint8Array.of(0x61, 0xff, 0x62), 0, 3), 'a\ufffdb');
});

for (const shared of [true, false]) {
  test(`strings are written to and read from a ${shared ? 'shared' : 'plain'} heap`, () => {
    const heap = smallHeap({ shared });
    const address = heap.kzalloc(64);
    assert.equal(heap.writeString(address, 'Käse 🧀'), 10);
    assert.equal(heap.readString(address, 10), 'Käse 🧀');
    assert.equal(heap.readString(address, 0), '');
    assert.equal(heap.u8[address + 10], 0, 'no terminator, nothing behind the text');
    assert.equal(heap.writeString(address, ''), 0);
  });
}

test('text outside the buffer is refused', () => {
  const heap = smallHeap();
  const end = heap.u8.length;
  thrownBy(RangeError, () => heap.readString(end - 3, 4));
  thrownBy(RangeError, () => heap.writeString(end - 3, 'four'));
  thrownBy(RangeError, () => heap.readString(-1, 1));
  thrownBy(RangeError, () => heap.readString(4096, -1));
  assert.equal(heap.writeString(end - 4, 'four'), 4);
});

test('without TextEncoder and TextDecoder, as in an AudioWorklet, the bytes and the text are the same', () => {
  const anyText = fc.string({ unit: 'binary' });
  fc.assert(
    fc.property(anyText, (text) => {
      assert.deepEqual(encodeByHand(text), new Uint8Array(encodeText(text)));
      assert.equal(decodeByHand(encodeText(text)), text);
    }),
  );
  assert.deepEqual(encodeByHand('a\ud800b'), new Uint8Array(encodeText('a\ud800b')));
  for (const bytes of [[0xff], [0xc0, 0x80], [0xe2, 0x82], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80]]) {
    assert.match(decodeByHand(Uint8Array.from([0x61, ...bytes, 0x62])), /^a\ufffd+b$/);
  }
});
