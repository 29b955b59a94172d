/** @file What the studio asks of the model, done with the model in memory. */
import {
  type ByteImage,
  encodePng,
  env,
  fetchModel,
  type Generated,
  type Image,
  type StreamOptions,
  VisualPrompt,
  XPrompt,
} from "../../../../dist/web.js";
import type { Example, GenerateEvent, GenerateRequest } from "../backend.ts";
import type { Addresses } from "./messages.ts";

/** What the model is called in the texts of its pictures. */
const MODEL_NAME = "nano";

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
  const { examples, prompts, input, seed, samples, instruction, temperature, guidance } = request;
  const prompt = await Promise.all(
    prompts.map(async (blob) => VisualPrompt.fromBytes(await blob.arrayBuffer())),
  );
  if (examples.length > 0) prompt.push(await model.compress(examples.map(pairOf), { signal }));
  const fullSize = request.fullSize && input !== undefined;
  const options = {
    ...{ prompt, input, instruction, temperature, guidance, fullSize, signal },
    ...(fullSize && { exampleColours: request.exampleColours }),
    // Several samples are to differ, as on the server.
    ...(samples > 1 && { expected: false }),
  };
  for (let sample = 0; sample < samples; sample++)
    yield* drawOne(model, { ...options, seed: seed + sample }, sample);
}

async function* drawOne(
  model: XPrompt,
  options: StreamOptions & { readonly seed: number },
  sample: number,
): AsyncGenerator<GenerateEvent> {
  for await (const { row, preview, result } of model.stream(options)) {
    if (result) {
      const picture = await pngOf(result.images[0], textsOf(result, options));
      const notes = {
        unread: result.tokens.unread,
        isColourMap: result.changeFrom === "example colours",
        isMean: result.settings.expected && result.settings.onePass,
      };
      yield { kind: "finished", sample, seed: options.seed, picture, notes };
    } else if (row) {
      const [picture] = await preview();
      yield { kind: "partial", sample, picture: await pngOf(picture!), ...row };
    }
  }
}

/** The settings in the texts of a picture, by the names that the server gives them. */
function textsOf(
  { settings, model }: Generated<Image | ByteImage>,
  { instruction, seed }: { readonly instruction?: string; readonly seed: number },
): Readonly<Record<string, string>> {
  const about = { instruction, seed, model: MODEL_NAME, fingerprint: model, ...settings };
  return { Software: "xprompt", xprompt: JSON.stringify(about) };
}

const pngOf = async (picture: Image | ByteImage, text?: Readonly<Record<string, string>>): Promise<Blob> =>
  new Blob([await encodePng(picture, { text })], { type: "image/png" });

export const pairOf = ({ before, after }: Example) => ({ input: before, output: after });
