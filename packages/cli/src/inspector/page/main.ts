/** The page that `modslab inspect` and `expose(heap, { port })` serve: the inspector on what the page's own server shows. */

import { mountInspector, SourceError, serverSource } from '../../inspector.ts';
import { TOKEN_KEY } from '../../live/protocol.ts';

function say(text: string): void {
  const place = document.querySelector('#message');
  if (place !== null) place.textContent = text;
}

async function main(): Promise<void> {
  const token = new URLSearchParams(location.hash.slice(1)).get(TOKEN_KEY);
  if (token === null)
    return say('The address has no token: open all of what the program printed, with #token=…');
  const source = await serverSource(token, (path, options) => fetch(path, options));
  say('');
  document.title = `${source.name} – modslab`;
  mountInspector(document.body, source);
}

main().catch((error: unknown) => {
  say(error instanceof SourceError || error instanceof Error ? error.message : String(error));
});
