// Makes every import of @thi.ng/malloc, by whatever package, one of @modslab/thi.ng-malloc: what `overrides` in a
// package.json do for an installation ("overrides": { "@thi.ng/malloc": "npm:@modslab/thi.ng-malloc" }).
import { register } from 'node:module';

const hooks = `
  export async function resolve(specifier, context, next) {
    const path = /^@thi[.]ng[/]malloc(\\/.*)?$/.exec(specifier);
    if (path === null) return next(specifier, context);
    return next('@modslab/thi.ng-malloc' + (path[1] ?? ''), { ...context, parentURL: ${JSON.stringify(import.meta.url)} });
  }`;

register(`data:text/javascript,${encodeURIComponent(hooks)}`);
