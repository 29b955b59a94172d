/** @file Watching a training run for as long as the page shows it, also over a server that is away for a while. */
import type { Backend, Run } from "./backend.ts";
import { pause } from "./pause.ts";

/** Milliseconds until a run is looked for again. */
const AGAIN_AFTER = 3000;

/** @param failed told every time that the run cannot be read; it is looked for again */
export async function watchRun(
  backend: Pick<Backend, "watch">,
  id: string,
  signal: AbortSignal,
  { seen, failed }: { seen(run: Run): void; failed(error: unknown): void },
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
