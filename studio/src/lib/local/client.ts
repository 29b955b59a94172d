/** @file Questions to the worker with the model. */
import { BackendError, type GenerateEvent } from "../backend.ts";
import type { Calls, Name, Reply } from "./messages.ts";

export class Client {
  private readonly worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
  private readonly waiting = new Map<number, (reply: Reply) => void>();
  private count = 0;
  /** Why the worker ended, once it has. */
  private failure = "";

  constructor() {
    this.worker.onmessage = ({ data }: MessageEvent<Reply>) => this.waiting.get(data.id)?.(data);
    this.worker.onerror = ({ message }) => {
      const reason = message || "its script cannot be loaded";
      this.failure = `The model's worker ended: ${reason}. Reload the page.`;
      for (const [id, take] of this.waiting) take({ id, failure: { message: this.failure, part: "result" } });
    };
  }

  /** Asks, and answers with what comes last. `onEvent` is called with what comes before. */
  ask<N extends Name>(
    name: N,
    asked: Calls[N]["asked"],
    { signal, onEvent }: { signal?: AbortSignal; onEvent?: (event: GenerateEvent) => void } = {},
  ): Promise<Calls[N]["answer"]> {
    if (this.failure) return Promise.reject(new BackendError(this.failure));
    const id = this.count++;
    return new Promise((resolve, reject) => {
      const stop = () => {
        this.worker.postMessage({ id, name: "stop" });
        end();
        reject(signal!.reason);
      };
      const end = () => {
        signal?.removeEventListener("abort", stop);
        this.waiting.delete(id);
      };
      this.waiting.set(id, (reply) => {
        if ("event" in reply) return onEvent?.(reply.event);
        end();
        if ("failure" in reply) reject(new BackendError(reply.failure.message, reply.failure.part));
        else resolve(reply.answer as Calls[N]["answer"]);
      });
      if (signal?.aborted) return stop();
      signal?.addEventListener("abort", stop);
      this.worker.postMessage({ id, name, asked });
    });
  }
}
