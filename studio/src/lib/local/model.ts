/** @file What the studio asks of the model, done with the model in memory. */
import {
  encodePng,
  env,
  fetchModel,
  type Generated,
  type GenerateOptions,
  VisualPrompt,
  XPrompt,
} from "../../../../dist/web.js";
import type { Example, GenerateEvent, GenerateRequest } from "../backend.ts";
import type { Addresses } from "./messages.ts";

/** What the model is called in the texts of its pictures. */
export const MODEL_NAME = "nano";

/** The model on the GPU where there is one, else on the CPU. */
export async function loadModel(
  { model, runtime }: Addresses,
  onProgress: (progress: { bytes: number; total: number }) => void,
): Promise<XPrompt> {
  env.wasm.wasmPaths = runtime;
  const files = await fetchModel(model, { onProgress });
  if (await hasGpu()) {
    const onGpu = await XPrompt.fromFiles(files, { device: "webgpu" }).catch(() => undefined);
    if (onGpu) return onGpu;
  }
  return XPrompt.fromFiles(files);
}

/** Whether there is a GPU, and not a driver that does its work on the CPU. */
async function hasGpu(): Promise<boolean> {
  const { gpu } = navigator as { gpu?: { requestAdapter(): Promise<Adapter | null> } };
  const adapter = await gpu?.requestAdapter().catch(() => null);
  return Boolean(adapter) && !adapter?.info?.isFallbackAdapter;
}

interface Adapter {
  readonly info?: { readonly isFallbackAdapter?: boolean };
}

/** Draws the samples one after another: sample i has seed + i. */
export async function* draw(
  model: XPrompt,
  request: GenerateRequest,
  signal: AbortSignal,
): AsyncGenerator<GenerateEvent> {
  const { examples, prompts, input, instruction, seed, samples, temperature, guidance, fullSize } = request;
  const prompt = await Promise.all(
    prompts.map(async (blob) => VisualPrompt.fromBytes(await blob.arrayBuffer())),
  );
  if (examples.length > 0) prompt.push(await model.compress(examples.map(pairOf), { signal }));
  for (let sample = 0; sample < samples; sample++) {
    const options = {
      ...{ prompt, input, instruction, temperature, guidance, signal },
      ...{ seed: seed + sample, fullSize: fullSize && input !== undefined },
    };
    yield* drawOne(model, options, sample);
  }
}

async function* drawOne(
  model: XPrompt,
  options: Omit<GenerateOptions, "onProgress"> & { readonly seed: number },
  sample: number,
): AsyncGenerator<GenerateEvent> {
  const { side } = gridOf(model);
  for await (const { codes, preview, result } of model.stream(
    options as GenerateOptions & { fullSize: true },
  )) {
    const count = codes[0]!.length;
    if (result)
      yield { kind: "finished", sample, seed: options.seed, picture: await finished(result, options) };
    else if (count % side === 0) {
      const [picture] = await preview();
      yield {
        kind: "partial",
        sample,
        picture: pngOf(await encodePng(picture!)),
        row: count / side,
        rows: side,
      };
    }
  }
}

const gridOf = ({ codesPerImage }: XPrompt) => ({ side: Math.sqrt(codesPerImage) });

async function finished(
  { images, settings, model }: Generated<Generated["images"][0] | Generated<never>["images"][0]>,
  { instruction = "", seed }: { readonly instruction?: string; readonly seed: number },
): Promise<Blob> {
  const about = { instruction, seed, model: MODEL_NAME, fingerprint: model, ...settings };
  return pngOf(await encodePng(images[0], { text: { Software: "xprompt", xprompt: JSON.stringify(about) } }));
}

const pngOf = (bytes: Uint8Array<ArrayBuffer>): Blob => new Blob([bytes], { type: "image/png" });

export const pairOf = ({ before, after }: Example) => ({ input: before, output: after });
