/** @file Waiting for work, or for its end from outside. */

/** Resolves when the signal is aborted. */
export function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/**
 * The result of work, unless the signal is aborted before. The work goes on after an abort.
 * @param heeds whether the signal counts, at the time it is aborted
 * @throws the signal's reason when it is aborted
 */
export async function abortable<T>(
  work: Promise<T>,
  signal: AbortSignal | undefined,
  heeds = () => true,
): Promise<T> {
  if (!signal) return work;
  const ended = new AbortController();
  const abort = new Promise<never>((_, reject) => {
    const stop = () => heeds() && reject(signal.reason);
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { signal: ended.signal });
  });
  return Promise.race([abort, work]).finally(() => ended.abort());
}
