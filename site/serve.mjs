// Serves the built site with the headers that make its pages cross-origin isolated; --plain without, as a static host would.
// Run: node site/serve.mjs [--port 8090] [--plain]
import { createReadStream, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { dirname, extname, join, normalize } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
};
const ISOLATION = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

/** A server of `dist`, not listening yet. */
export function siteServer(dist, { isolated = true, base = '/' } = {}) {
  return createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    const path = normalize(`/${decodeURIComponent(pathname)}`.replace(`/${base}`, '/')).replace(
      /^(\.\.[/\\])+/,
      '',
    );
    const plain = join(dist, path);
    const file = [plain, `${plain}.html`, join(plain, 'index.html')].find((each) =>
      statSync(each, { throwIfNoEntry: false })?.isFile(),
    );
    const headers = { 'Cache-Control': 'no-store', ...(isolated ? ISOLATION : {}) };
    response.writeHead(file ? 200 : 404, {
      ...headers,
      'Content-Type': TYPES[extname(file ?? '.html')] ?? 'text/plain',
    });
    createReadStream(file ?? join(dist, '404.html')).pipe(response);
  });
}

export function serve(dist, { port, ...options }) {
  const server = siteServer(dist, options);
  server.listen(port, () => console.log(`http://localhost:${server.address().port}/`));
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { values } = parseArgs({ options: { port: { type: 'string' }, plain: { type: 'boolean' } } });
  const dist = join(dirname(fileURLToPath(import.meta.url)), 'dist');
  serve(dist, {
    port: Number(values.port ?? 8090),
    isolated: !values.plain,
    base: process.env.SITE_BASE ?? '/',
  });
}
