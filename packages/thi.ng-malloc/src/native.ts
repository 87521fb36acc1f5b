/** Typed arrays of the JavaScript heap under the interface of a pool. */

import type { IMemPoolArray, Type, TypedArray, TypedArrayTypeMap } from './api.ts';
import { constructorOf, fillArray } from './typedArrays.ts';

export class NativePool implements IMemPoolArray {
  mallocAs<T extends Type>(type: T, num: number): TypedArrayTypeMap[T] {
    return new (constructorOf(type))(num);
  }

  callocAs<T extends Type>(type: T, num: number, fill: number = 0): TypedArrayTypeMap[T] {
    const array = this.mallocAs(type, num);
    fillArray(array, fill);
    return array;
  }

  reallocArray<T extends TypedArray>(src: T, num: number): T {
    if (num === src.length) return src;
    const array = new (src.constructor as new (length: number) => T)(num);
    array.set(src.subarray(0, Math.min(src.length, num)) as never);
    return array;
  }

  free(_array: TypedArray): boolean {
    return true;
  }

  freeAll(): void {}

  release(_opts?: unknown): boolean {
    return true;
  }
}
