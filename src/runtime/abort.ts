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

/**
 * The results of several works that have one signal. After a failure the others are aborted, and waited for.
 * @throws the first failure
 */
export async function allOrAbort<T, R>(
  items: readonly T[],
  work: (item: T, signal: AbortSignal) => Promise<R>,
  outer: AbortSignal,
): Promise<R[]> {
  const failed = new AbortController();
  const signal = AbortSignal.any([outer, failed.signal]);
  const running = items.map((item) => work(item, signal));
  try {
    return await Promise.all(running);
  } catch (error) {
    failed.abort(error);
    await Promise.allSettled(running);
    throw error;
  }
}
