/** @file Compresses the examples of a command, and shows the progress where there are several. */
import { Progress } from "../progress.ts";
import type { Example, XPrompt } from "../xprompt/model.ts";
import type { VisualPrompt } from "../xprompt/prompt.ts";

export async function compressed(
  model: XPrompt,
  examples: readonly Example[],
  signal: AbortSignal,
): Promise<VisualPrompt> {
  let progress: Progress | undefined;
  return model
    .compress(examples, {
      signal,
      onProgress({ done, examples: total }) {
        if (!progress && done === total) return;
        progress ??= new Progress({ label: "compressing", total, unit: "examples" });
        progress.update(done);
      },
    })
    .finally(() => progress?.stop());
}
