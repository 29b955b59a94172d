/** @file Watching training runs for as long as the page shows them, also over a server that is away for a while. */
import type { Backend, Run, RunSummary } from "./backend.ts";
import { pause } from "./pause.ts";

/** Milliseconds until a run is looked for again, and until the list of runs is. */
const [AGAIN_AFTER, LIST_AGAIN_AFTER] = [3000, 10_000];

interface Watching<Seen> {
  seen(now: Seen): void;
  /** Told every time that nothing can be read; it is looked for again. */
  failed(error: unknown): void;
}

export async function watchRun(
  backend: Pick<Backend, "watch">,
  id: string,
  signal: AbortSignal,
  { seen, failed }: Watching<Run>,
): Promise<void> {
  while (!signal.aborted) {
    try {
      for await (const run of backend.watch(id, signal)) seen(run);
      return;
    } catch (error) {
      if (signal.aborted) return;
      failed(error);
      await pause(AGAIN_AFTER, signal).catch(() => undefined);
    }
  }
}

/** The runs that there are, again and again: new ones come while the page is open. */
export async function watchRuns(
  backend: Pick<Backend, "runs">,
  signal: AbortSignal,
  { seen, failed }: Watching<readonly RunSummary[]>,
): Promise<void> {
  while (!signal.aborted) {
    try {
      seen(await backend.runs(signal));
    } catch (error) {
      if (signal.aborted) return;
      failed(error);
    }
    await pause(LIST_AGAIN_AFTER, signal).catch(() => undefined);
  }
}
