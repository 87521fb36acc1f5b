/** Numbers as people read them. Bytes in powers of 1024, as everywhere in modslab. */

const UNITS: readonly string[] = ['B', 'KiB', 'MiB', 'GiB'];

/** `1.5 MiB`; three digits at most, no unit smaller than need be. */
export function bytes(value: number): string {
  const sign = value < 0 ? '−' : '';
  let rest = Math.abs(value);
  let unit = 0;
  while (rest >= 1000 && unit < UNITS.length - 1) {
    rest /= 1024;
    unit++;
  }
  return `${sign}${digits(rest, unit === 0)} ${UNITS[unit]}`;
}

function digits(value: number, whole: boolean): string {
  if (whole || value >= 100) return String(Math.round(value));
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** `12,345`. */
export function count(value: number): string {
  const text = String(Math.abs(Math.round(value))).replace(/\B(?=(\d{3})+$)/g, ',');
  return value < 0 ? `−${text}` : text;
}

/** `+12,345`, `−3`, `0`. */
export const signed = (value: number, format: (value: number) => string = count): string =>
  value > 0 ? `+${format(value)}` : format(value);

/** `0.43`, `1,234`, `1.23 M`, for rates. */
export function short(value: number): string {
  if (value < 10 && !Number.isInteger(value)) return value.toFixed(2);
  if (value < 1e4) return count(value);
  if (value < 1e6) return `${digits(value / 1e3, false)} k`;
  return `${digits(value / 1e6, false)} M`;
}

/** `43 %`; `—` where there is nothing to divide by. */
export const percent = (share: number): string =>
  Number.isFinite(share) ? `${Math.round(share * 100)} %` : '—';

/** `0x00123456`: an address. */
export const address = (value: number): string => `0x${value.toString(16).padStart(8, '0')}`;

/** `0x0000002a`, for a word of metadata, as an unsigned number. */
export const word = (value: number): string => `0x${(value >>> 0).toString(16).padStart(8, '0')}`;

/** `14:03:22` of a moment in milliseconds since 1970, in the reader's time zone. */
export function clock(time: number): string {
  const at = new Date(time);
  return [at.getHours(), at.getMinutes(), at.getSeconds()].map((n) => String(n).padStart(2, '0')).join(':');
}

/** `3 slabs`, `1 slab`. */
export const plural = (n: number, noun: string): string => `${count(n)} ${noun}${n === 1 ? '' : 's'}`;
