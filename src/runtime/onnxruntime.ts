/** @file onnxruntime for Node. `onnxruntime.browser.ts` stands in for this module in browsers. */
import "./no-telemetry.ts";
import { statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { XPromptError } from "../errors.ts";
import type { SessionOptions } from "./session-options.ts";

export { type InferenceSession, Tensor };

/**
 * @param model the bytes of an ONNX file, or its path
 * @param dataFolder the folder of the weight files of a model given as bytes
 */
export async function createSession(
  model: Uint8Array | string,
  { device, threads, arena }: Required<SessionOptions>,
  dataFolder?: string,
): Promise<InferenceSession> {
  if (device === "cuda") requireCuda();
  const options: InferenceSession.SessionOptions = {
    executionProviders: [device],
    intraOpNumThreads: threads,
    graphOptimizationLevel: "all",
    // A memory pattern would add one block per session beside the arena, and is no faster.
    enableMemPattern: false,
    enableCpuMemArena: arena,
    logSeverityLevel: 3,
    extra: {
      session: {
        // An arena would take up to twice the weights.
        use_device_allocator_for_initializers: "1",
        ...(dataFolder !== undefined && { model_external_initializers_file_folder_path: dataFolder }),
      },
    },
  };
  const create = InferenceSession.create as (
    model: Uint8Array | string,
    options: InferenceSession.SessionOptions,
  ) => Promise<InferenceSession>;
  return create(model, options);
}

/** The CUDA provider is a separate download of several hundred megabytes; without it onnxruntime fails late. */
function requireCuda(): void {
  const root = dirname(createRequire(import.meta.url).resolve("onnxruntime-node/package.json"));
  const library = join(
    root,
    "bin",
    "napi-v6",
    process.platform,
    process.arch,
    "libonnxruntime_providers_cuda.so",
  );
  // If CUDA was left out at installation, this file is empty (bin/skip-cuda.js).
  if (statSync(library, { throwIfNoEntry: false })?.size) return;
  throw new XPromptError(
    "device cuda: the CUDA libraries of onnxruntime-node are not installed (see docs/devices.md, or use --device cpu)",
    { code: "ERR_DEVICE" },
  );
}
