/** @file The model of a worker: jobs that run at the same time share its steps, and what it compressed lately is kept. */
import { sha256 } from "../hash.ts";
import { allOrAbort } from "../runtime/abort.ts";
import { Batcher } from "../xprompt/batcher.ts";
import type { XPrompt } from "../xprompt/model.ts";
import { VisualPrompt } from "../xprompt/prompt.ts";
import { PromptCache } from "../xprompt/prompt-cache.ts";
import { type PackedPrompt, unpackExamples } from "./prompts.ts";

/** Bytes of compressed examples that are kept. */
const CACHED_BYTES = 64 * 2 ** 20;

export class WorkerModel {
  readonly batcher: Batcher;
  private readonly cache = new PromptCache(CACHED_BYTES);

  /** @param xprompt the caller releases it, after this */
  constructor(readonly xprompt: XPrompt) {
    this.batcher = new Batcher(xprompt, { cacheBytes: 0 });
  }

  /** Ends the threads of results at full size. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.batcher.release();
  }

  get fingerprint(): string {
    return this.xprompt.fingerprint;
  }

  /** Prompts of a job, ready for the model. @throws the signal's reason when it is aborted */
  prompts(packed: readonly PackedPrompt[], signal: AbortSignal): Promise<VisualPrompt[]> {
    return allOrAbort(packed, (each, ofAll) => this.prompt(each, ofAll), signal);
  }

  /**
   * Examples are compressed as `XPrompt.compress` does it: all of a prompt in one call.
   * @throws the signal's reason when it is aborted
   */
  async prompt(packed: PackedPrompt, asked: AbortSignal): Promise<VisualPrompt> {
    if ("xprompt" in packed) return VisualPrompt.fromBytes(Buffer.from(packed.xprompt, "base64"));
    const key = sha256(JSON.stringify(packed));
    const make = async (signal: AbortSignal) =>
      this.xprompt.compress(await unpackExamples(packed.examples), { signal });
    return this.cache.getOrMake(key, make, asked);
  }
}
