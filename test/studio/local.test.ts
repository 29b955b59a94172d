/** @file The studio without a server, whose worker does not answer or has ended. */
import { expect, test, vi } from "vitest";
import type { Backend, GenerateRequest } from "../../studio/src/lib/backend.ts";

/** A worker that never answers. */
class SilentWorker {
  static made: SilentWorker;
  onerror?: (event: { message?: string }) => void;
  postMessage = vi.fn();

  constructor() {
    SilentWorker.made = this;
  }
}
vi.stubGlobal("Worker", SilentWorker);
const { localBackend } = await import("../../studio/src/lib/local/backend.ts");

const request: GenerateRequest = {
  ...{ examples: [], prompts: [], instruction: "x", seed: 1, samples: 1 },
  ...{ fullSize: false, exampleColours: true },
};
const draw = async (backend: Backend, signal = new AbortController().signal) => {
  for await (const _ of backend.generate(request, signal));
};

test("a drawing stops while the model is on its way", async () => {
  const stopping = new AbortController();
  const drawn = draw(localBackend("http://page/"), stopping.signal);
  stopping.abort(new Error("stopped"));
  await expect(drawn).rejects.toThrow("stopped");
});

test("when the worker cannot be loaded, every request says so, later ones too", async () => {
  const backend = localBackend("http://page/");
  const drawn = draw(backend);
  SilentWorker.made.onerror!({});
  const says = "The model's worker ended: its script cannot be loaded. Reload the page.";
  await expect(drawn).rejects.toThrow(says);
  await expect(draw(backend)).rejects.toThrow(says);
  await expect(backend.inspect(new Blob())).rejects.toThrow(says);
});
