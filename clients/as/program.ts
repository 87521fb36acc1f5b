// A client in AssemblyScript: classes, arrays, strings and maps of its standard library, on a modslab heap.

class Point {
  constructor(public x: f64, public y: f64) {}
}

export { __heap_base };

/** Points in an array that grows; every object is deleted. */
export function addUpPoints(n: i32): f64 {
  const points: Point[] = [];
  for (let i = 0; i < n; i++) points.push(new Point(i, i * 2));
  let total = 0.0;
  for (let i = 0; i < n; i++) {
    total += points[i].x + points[i].y;
    __delete(changetype<usize>(points[i]));
  }
  return total;
}

/** Strings and a map; nothing is deleted. */
export function lengthByMap(n: i32): i32 {
  let text = "";
  const lengths = new Map<string, i32>();
  for (let i = 0; i < n; i++) {
    text += i.toString() + ",";
    lengths.set(text, text.length);
  }
  return lengths.get(text);
}
