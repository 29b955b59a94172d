/** @file The service worker, which keeps the site for times without a network, and adds headers that threads need. */

const RELOADED = "xprompt-reloaded";

/**
 * Starts it. Where the host does not isolate the page (COOP, COEP), the page is loaded once more through it.
 * @returns false when the page is about to be loaded again
 */
export async function startServiceWorker(): Promise<boolean> {
  if (!("serviceWorker" in navigator)) return true; // plain HTTP: one thread, and no use without a network
  try {
    await navigator.serviceWorker.register("./sw.js");
    await controlled();
  } catch {
    return true;
  }
  if (crossOriginIsolated) {
    sessionStorage.removeItem(RELOADED);
    return true;
  }
  if (sessionStorage.getItem(RELOADED)) return true;
  sessionStorage.setItem(RELOADED, "yes");
  location.reload();
  return false;
}

/** Resolves once requests of this page pass through the service worker. */
function controlled(): Promise<void> {
  const { serviceWorker } = navigator;
  return new Promise((resolve) => {
    if (serviceWorker.controller) return resolve();
    serviceWorker.addEventListener("controllerchange", () => resolve(), { once: true });
  });
}
