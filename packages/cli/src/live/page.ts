/** The inspector's page as routes: three files beside this package's modules, bundled when it is built. */
import { readFile } from 'node:fs/promises';
import type { Answer, Route } from './server.ts';

/** Where the build puts them. */
const FOLDER: URL = new URL('../page/', import.meta.url);

const FILES: readonly [path: string, file: string, type: string][] = [
  ['/', 'index.html', 'text/html; charset=utf-8'],
  ['/inspector.js', 'inspector.js', 'text/javascript; charset=utf-8'],
  ['/page.css', 'page.css', 'text/css; charset=utf-8'],
  ['/icon.svg', 'icon.svg', 'image/svg+xml'],
];

/** The page's routes. They hold nothing of any heap, so they need no token; a file is read when it is asked for. */
export function pageRoutes(): [string, Route][] {
  return FILES.map(([path, file, type]) => {
    const answer = async (): Promise<Answer> => ({ type, body: await readFile(new URL(file, FOLDER)) });
    return [path, { method: 'GET', isPublic: true, answer }];
  });
}
