/** @file The service worker, which keeps the site for times without a network, and adds headers that threads need. */

const RELOADED = "xprompt-reloaded";

/**
 * Starts it. Where the host does not isolate the page (COOP, COEP), the page is loaded once more through it.
 * @returns false when the page is about to be loaded again
 */
export async function startServiceWorker(): Promise<boolean> {
  if (!("serviceWorker" in navigator)) return true; // plain HTTP: one thread, and no use without a network
  try {
    await activated(await navigator.serviceWorker.register("./sw.js"));
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

/** Resolves once the service worker is ready, or was refused. */
function activated({ installing, waiting, active }: ServiceWorkerRegistration): Promise<void> {
  const worker = active ?? waiting ?? installing;
  return new Promise((resolve) => {
    const look = () => {
      if (!worker || worker.state === "activated" || worker.state === "redundant") resolve();
    };
    worker?.addEventListener("statechange", look);
    look();
  });
}
