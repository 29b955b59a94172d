/**
 * @file onnxruntime for browsers: WebAssembly, with threads where the page is isolated (COOP and COEP), or WebGPU. That
 * provider's build is larger, and is loaded only when it is asked for.
 */
/// <reference lib="dom" />
import { env, InferenceSession, Tensor } from "onnxruntime-web/wasm";
import { XPromptError } from "../errors.ts";
import type * as node from "./onnxruntime.ts";

export { InferenceSession, Tensor };

/** More threads do not help: models in a browser are small. */
const MOST_THREADS = 4;

/** The provider of each device, and the build of onnxruntime that has it. */
const builds = {
  cpu: { provider: "wasm", load: async () => ({ env, InferenceSession }) },
  webgpu: { provider: "webgpu", load: () => import("onnxruntime-web/webgpu") },
} as const;

export const createSession: typeof node.createSession = async (model, { device, threads, arena }) => {
  if (device === "cuda")
    throw new XPromptError("device cuda: expected Node, got a browser (use the device cpu or webgpu)", {
      code: "ERR_DEVICE",
    });
  const { provider, load } = builds[device];
  const build = await load();
  const cores = globalThis.crossOriginIsolated ? navigator.hardwareConcurrency : 1;
  build.env.wasm.wasmPaths = env.wasm.wasmPaths;
  build.env.wasm.numThreads = threads || Math.min(cores, MOST_THREADS);
  return build.InferenceSession.create(model as Uint8Array, {
    executionProviders: [provider],
    graphOptimizationLevel: "all",
    enableMemPattern: false,
    enableCpuMemArena: arena,
    logSeverityLevel: 3,
    extra: { session: { use_device_allocator_for_initializers: "1" } },
  });
};
