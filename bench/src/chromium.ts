/** The browser that benchmarks run in: Debian's, or what CHROMIUM names. */

import process from 'node:process';

export const CHROMIUM: string = process.env.CHROMIUM ?? '/usr/bin/chromium';

/** No sandbox: containers run as root. The rest keeps it from drawing by a GPU and from calling home. */
export const CHROMIUM_FLAGS: readonly string[] = [
  '--no-sandbox',
  '--disable-gpu',
  '--no-first-run',
  '--disable-background-networking',
];
