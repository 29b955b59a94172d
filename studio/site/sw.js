/**
 * @file The service worker of the site: keeps the files of one version, so that they are had once, and without a network. All
 * answers get the headers that isolate the page (COOP, COEP), so that WebAssembly may use threads on any host.
 */

/** Filled in when the site is built: the digest of its files, and those that the page needs before it asks for any. */
const VERSION = "";
const SHELL = [];

const PREFIX = "xprompt-site ";
const CACHE = PREFIX + VERSION;

self.addEventListener("install", (event) => {
  self.skipWaiting();
  const files = SHELL.map((path) => new Request(path, { cache: "reload" }));
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(files)));
});

self.addEventListener("activate", (event) => event.waitUntil(takeOver()));

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method === "GET" && request.url.startsWith(self.registration.scope)) {
    event.respondWith(answer(request).then(isolated));
  }
});

async function takeOver() {
  const former = (await caches.keys()).filter((name) => name.startsWith(PREFIX) && name !== CACHE);
  await Promise.all(former.map((name) => caches.delete(name)));
  await self.clients.claim();
}

async function answer(request) {
  const cache = await caches.open(CACHE);
  const kept = await cache.match(request, { ignoreSearch: true });
  if (kept) return kept;
  // Their names are the same in each version: what the browser keeps may be of the former one.
  const response = await fetch(request, { cache: "no-cache" });
  // The page itself keeps the weights, under their checksum.
  if (response.status === 200 && !request.url.endsWith(".safetensors")) {
    await cache.put(request, response.clone()).catch(() => undefined);
  }
  return response;
}

function isolated(response) {
  // A redirection, which the page follows itself.
  if (response.status === 0) return response;
  const headers = new Headers(response.headers);
  headers.set("Cross-Origin-Opener-Policy", "same-origin");
  headers.set("Cross-Origin-Embedder-Policy", "require-corp");
  const { body, status, statusText } = response;
  return new Response(body, { status, statusText, headers });
}
