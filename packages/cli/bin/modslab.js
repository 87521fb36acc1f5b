#!/usr/bin/env node
// The `modslab` command. It is plain JavaScript in the repository, not build output, because npm links a
// workspace's bin at install time, before anything has been built.
import { existsSync } from 'node:fs';

const main = new URL('../dist/main.js', import.meta.url);
if (existsSync(main)) {
  await import(main.href);
} else {
  console.error('modslab: not built yet; run npm run build first');
  process.exitCode = 2;
}
