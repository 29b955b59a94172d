/** @file The model in a worker of this page: nothing leaves the browser. */
import { abortable } from "../../../../src/runtime/abort.ts";
import { type Backend, BackendError, type GalleryEntry, type GenerateEvent } from "../backend.ts";
import { Client } from "./client.ts";

/** Bytes of a picture. */
const LARGEST = 40_000_000;

/** @param base address of the page, which has the model, onnxruntime and the gallery beside it */
export function localBackend(base: string): Backend {
  const address = (path: string) => new URL(path, base).href;
  const client = new Client();
  /** The last that was heard of the weights on their way. */
  let loading: GenerateEvent | undefined;
  const watching = new Set<(event: GenerateEvent) => void>();
  let loaded: Promise<unknown> | undefined;
  const load = (signal?: AbortSignal) => {
    loaded ??= client
      .ask(
        "load",
        { model: address("models/nano/"), runtime: address("ort/") },
        {
          onEvent(event) {
            loading = event;
            for (const watch of watching) watch(event);
          },
        },
      )
      .catch((error: unknown) => {
        loaded = undefined; // the next question tries again
        throw error;
      })
      .finally(() => (loading = undefined));
    return abortable(loaded, signal);
  };
  void load().catch(() => undefined);

  return {
    largest: LARGEST,
    useKey: () => {},
    onKeyNeeded: () => {},

    async about() {
      return { model: "nano", library: false, training: false };
    },

    async *generate(request, signal) {
      const queue = new Queue<GenerateEvent>();
      if (loading) queue.push(loading);
      watching.add(queue.push);
      const drawing = load(signal)
        .then(() => client.ask("generate", request, { signal, onEvent: queue.push }))
        .then(queue.end, queue.fail)
        .finally(() => watching.delete(queue.push));
      yield* queue;
      await drawing;
    },

    async describe(example, signal) {
      await load(signal);
      return client.ask("describe", example, { signal });
    },

    async compile(examples, signal) {
      await load(signal);
      return client.ask("compile", examples, { signal });
    },

    async inspect(prompt, signal) {
      await load(signal);
      return client.ask("inspect", prompt, { signal });
    },

    async picture(from, signal) {
      return (await get(from, "picture", signal)).blob();
    },

    async gallery(signal) {
      const response = await get(address("gallery.json"), "gallery", signal);
      const entries = (await response.json()) as readonly GalleryEntry[];
      return entries.map((entry) => ({
        ...entry,
        before: address(entry.before),
        after: address(entry.after),
        queries: entry.queries.map(address),
      }));
    },

    search: async () => [],
    runs: async () => [],
    watch: async function* () {},
  };
}

async function get(from: string, what: string, signal?: AbortSignal): Promise<Response> {
  const response = await fetch(from, { signal });
  if (!response.ok) throw new BackendError(`The ${what} cannot be had (status ${response.status}).`);
  return response;
}

/** Events that are pushed on one side and iterated on the other. */
class Queue<T> implements AsyncIterable<T> {
  private readonly items: T[] = [];
  private isOver = false;
  private error: unknown;
  private wake = () => {};

  readonly push = (item: T) => {
    this.items.push(item);
    this.wake();
  };
  readonly end = () => {
    this.isOver = true;
    this.wake();
  };
  readonly fail = (error: unknown) => {
    this.error = error;
    this.end();
  };

  async *[Symbol.asyncIterator]() {
    for (;;) {
      for (let item = this.items.shift(); item !== undefined; item = this.items.shift()) yield item;
      if (this.error !== undefined) throw this.error;
      if (this.isOver) return;
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }
}
