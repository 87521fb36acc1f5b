// A static server for the browser examples. It sends the two headers that make a page cross-origin isolated, without which
// a browser has no SharedArrayBuffer; with --plain it leaves them out. Run: node examples/serve.mjs [--port 8080] [--plain]
import { createReadStream, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { dirname, extname, join, normalize } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const examples = dirname(fileURLToPath(import.meta.url));
const dist = dirname(fileURLToPath(import.meta.resolve('modslab')));
const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.map': 'application/json',
};
const ISOLATION = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

/** The file behind a path: /modslab/… is the built package, all else is in this folder. Undefined for none. */
function fileFor(path) {
  const clean = normalize(decodeURIComponent(path)).replace(/^([/\\]|\.\.)+/, '');
  const [top, ...rest] = clean.split(/[/\\]/);
  const file = top === 'modslab' ? join(dist, ...rest) : join(examples, clean || 'browser/index.html');
  const isServed = TYPES[extname(file)] !== undefined && !file.includes('node_modules');
  return isServed && statSync(file, { throwIfNoEntry: false })?.isFile() ? file : undefined;
}

/** The server, not listening yet. */
export function exampleServer({ isolated = true } = {}) {
  return createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    if (pathname === '/favicon.ico') {
      response.writeHead(204).end();
      return;
    }
    const file = fileFor(pathname);
    if (file === undefined) {
      response.writeHead(404).end('not found\n');
      return;
    }
    const headers = { 'Content-Type': TYPES[extname(file)], 'Cache-Control': 'no-store' };
    response.writeHead(200, isolated ? { ...headers, ...ISOLATION } : headers);
    createReadStream(file).pipe(response);
  });
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { values } = parseArgs({ options: { port: { type: 'string' }, plain: { type: 'boolean' } } });
  const server = exampleServer({ isolated: !values.plain });
  server.listen(Number(values.port ?? 8080), () => {
    console.log(`http://localhost:${server.address().port}/`);
  });
}
