// Makes a page cross-origin isolated where the host cannot set headers: this file is both the script that a page includes
// first (<script src="isolate.js"></script>) and the service worker that it registers, which adds the two headers to
// every answer. The first visit loads the page twice.
if (typeof document === 'undefined') {
  addEventListener('install', () => skipWaiting());
  addEventListener('activate', (event) => event.waitUntil(clients.claim()));
  addEventListener('fetch', (event) => {
    const { request } = event;
    if (request.cache === 'only-if-cached' && request.mode !== 'same-origin') return;
    event.respondWith(
      fetch(request).then((response) => {
        if (response.status === 0) return response; // opaque: it cannot be changed
        const headers = new Headers(response.headers);
        headers.set('Cross-Origin-Opener-Policy', 'same-origin');
        headers.set('Cross-Origin-Embedder-Policy', 'require-corp');
        headers.set('Cross-Origin-Resource-Policy', 'cross-origin');
        const { status, statusText } = response;
        return new Response(response.body, { status, statusText, headers });
      }),
    );
  });
} else if (!crossOriginIsolated && 'serviceWorker' in navigator) {
  const script = document.currentScript.src;
  navigator.serviceWorker
    .register(script)
    .then(() => navigator.serviceWorker.ready)
    .then(() => {
      // Once only: where isolation cannot be had at all the page goes on without.
      if (sessionStorage.getItem('isolating') !== null) return;
      sessionStorage.setItem('isolating', '1');
      location.reload();
    });
}
