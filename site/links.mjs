// Checks the links of a built site: every href and src that stays in the site must name a file of it, and an anchor an element.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

const unescape = (text) => text.replaceAll('&amp;', '&').replaceAll('&#39;', "'").replaceAll('&quot;', '"');

/** The file that a host would answer a path with; undefined for none. */
function fileFor(dist, path) {
  const plain = join(dist, path);
  const candidates = [plain, `${plain}.html`, join(plain, 'index.html')];
  return candidates.find((each) => existsSync(each) && statSync(each).isFile());
}

/** `{ links, problems }` of all pages below `dist`, which are served below `base`. */
export function checkLinks(dist, base = '/') {
  const pages = readdirSync(dist, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.html'),
  );
  const anchors = new Map();
  const anchorsOf = (file) => {
    if (!anchors.has(file)) {
      const text = readFileSync(file, 'utf8');
      anchors.set(
        file,
        new Set([...text.matchAll(/\s(?:id|name)="([^"]*)"/g)].map(([, id]) => unescape(id))),
      );
    }
    return anchors.get(file);
  };
  const problems = new Set();
  let links = 0;
  for (const page of pages) {
    const file = join(dist, page);
    for (const [, raw] of readFileSync(file, 'utf8').matchAll(
      /<(?:a|img|link|script)\b[^>]*?\s(?:href|src)="([^"]*)"/g,
    )) {
      const link = unescape(raw);
      if (/^([a-z]+:|\/\/)/i.test(link)) continue;
      links++;
      const [path, anchor] = link.split('#');
      const clean = decodeURIComponent(path.split('?')[0]);
      const inSite = clean.startsWith('/')
        ? `/${clean}`.replace(`/${base}`, '/')
        : join('/', dirname(page), clean);
      const found = clean === '' ? file : fileFor(dist, inSite);
      if (found === undefined) problems.add(`${page}: ${link} leads nowhere`);
      else if (anchor && found.endsWith('.html') && !anchorsOf(found).has(decodeURIComponent(anchor)))
        problems.add(`${page}: ${relative(dist, found)} has no #${anchor}`);
    }
  }
  return { links, problems: [...problems] };
}
