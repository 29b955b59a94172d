/**
 * @file The pictures that a suite has the model draw. Each is kept in a folder as soon as it is drawn, under a name
 * that follows from model, settings and seed, with what was asked for in its text: work that was cut off goes on where it
 * was, and a picture that was asked for in another way is drawn again.
 */
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { z } from "zod";
import { XPromptError } from "../errors.ts";
import {
  encodePng,
  fromBytes,
  type Image,
  loadImage,
  readPngText,
  savePng,
  toBytes,
} from "../image/index.ts";
import { Progress } from "../progress.ts";
import { sha256 } from "../runtime/files.ts";
import type { GenerateOptions, XPrompt } from "../xprompt/model.ts";
import type { VisualPrompt } from "../xprompt/prompt.ts";
import { checkRequest, type RecommendedSampling } from "../xprompt/request.ts";

/** How every picture of a run is drawn; what is left open, as the model recommends. */
export type DrawSettings = Pick<GenerateOptions, "temperature" | "topK" | "topP" | "guidance" | "expected">;

/** What pictures are sampled with. `expected` is there only where it is asked for. */
type SampledWith = RecommendedSampling & { readonly expected?: true };

/** What pictures are drawn with: what was asked for, else what the model recommends, else what `generate` takes. */
function drawnWith(asked: DrawSettings, { config }: XPrompt): SampledWith {
  const { sampling } = config.xprompt;
  const drawn = (pictures: boolean) => {
    const { temperature, topK, topP, guidance } = checkRequest(asked, sampling, { pictures });
    return { temperature, topK, topP, guidance };
  };
  return {
    ...drawn(true),
    ...(sampling?.wordsAlone && { wordsAlone: drawn(false) }),
    ...(asked.expected && { expected: true }),
  };
}

/** An example pair as pictures of the model's size. */
export interface Shown {
  readonly input: Image;
  readonly output: Image;
  readonly instruction?: string;
}

export interface DrawRequest {
  /** Unique in the run: a path without ending, as `derain/xprompt-0003`. */
  readonly id: string;
  readonly seed: number;
  readonly examples?: readonly Shown[];
  readonly input?: Image;
  readonly instruction?: string;
  /** Draw as large as the input, not as large as the model does. */
  readonly fullSize?: boolean;
}

export interface Drawing {
  /** In 8 bits a channel, as it is kept. */
  readonly image: Image;
  /** What drawing it took, when it was drawn. */
  readonly milliseconds: number;
}

const textSchema = z.object({ request: z.string(), milliseconds: z.number() });

export class Drawings {
  readonly settings: SampledWith;
  /** Where pictures are kept, if they are. */
  private readonly folder: string | undefined;
  private readonly compressed = new WeakMap<Shown, Promise<VisualPrompt>>();
  private progress: Progress | undefined;
  private done = 0;

  constructor(
    private readonly model: XPrompt,
    private readonly asked: DrawSettings,
    private readonly options: {
      readonly suite: string;
      readonly seed: number;
      /** Folder of the results: pictures are kept below it. Defaults to none. */
      readonly out?: string;
      /** Nothing is written, and no progress shown: the pictures are blank. */
      readonly isRehearsal?: boolean;
      readonly signal?: AbortSignal;
    },
  ) {
    this.settings = drawnWith(asked, model);
    const { suite, seed, out } = options;
    const key = sha256(JSON.stringify([suite, model.fingerprint, this.settings, seed])).slice(0, 12);
    this.folder = out && join(resolve(out), "drawings", key);
  }

  /** How many pictures there will be: from now on progress is shown. */
  expect(total: number): void {
    if (this.options.isRehearsal) return;
    this.progress = new Progress({ label: this.options.suite, total, unit: "pictures" });
  }

  async draw(request: DrawRequest): Promise<Drawing> {
    this.options.signal?.throwIfAborted();
    const path = this.folder && join(this.folder, `${request.id}.png`);
    const digest = digestOf(request);
    const drawing = (path && (await kept(path, digest))) || (await this.drawNow(request, digest, path));
    this.progress?.update(++this.done);
    return drawing;
  }

  stop(): void {
    this.progress?.stop();
  }

  private async drawNow(request: DrawRequest, digest: string, path?: string): Promise<Drawing> {
    const { examples = [], input, instruction, seed, fullSize } = request;
    const { signal } = this.options;
    const { images, timings } = await this.model.generate({
      ...this.asked,
      prompt: await Promise.all(examples.map((example) => this.compress(example))),
      input: fullSize && input ? await encodePng(input) : input,
      instruction,
      seed,
      signal,
      ...(fullSize && { fullSize }),
    });
    const { width, height } = images[0];
    const drawing = { image: fromBytes(width, height, toBytes(images[0])), milliseconds: timings.total };
    if (path && !this.options.isRehearsal) {
      await mkdir(dirname(path), { recursive: true });
      const text = { request: digest, milliseconds: timings.total, seed, settings: this.settings };
      await savePng(path, drawing.image, { text: { Software: "xprompt", xprompt: JSON.stringify(text) } });
    }
    return drawing;
  }

  /** Each example is read once. */
  private compress(example: Shown): Promise<VisualPrompt> {
    const prompt = this.compressed.get(example) ?? this.model.compress([example]);
    this.compressed.set(example, prompt);
    return prompt;
  }
}

/** Everything that a drawing follows from, but for model and settings. */
function digestOf({ seed, examples = [], input, instruction = "", fullSize }: DrawRequest): string {
  const picture = (image: Image) => sha256(toBytes(image));
  const shown = examples.map((example) => [
    picture(example.input),
    picture(example.output),
    example.instruction ?? "",
  ]);
  const asked = [seed, shown, input ? picture(input) : "", instruction, ...(fullSize ? ["full size"] : [])];
  return sha256(JSON.stringify(asked));
}

/** What was drawn for the same request before, unless it was damaged since. */
async function kept(path: string, digest: string): Promise<Drawing | undefined> {
  if (!existsSync(path)) return undefined;
  try {
    const text = textSchema.parse(JSON.parse((await readPngText(path)).xprompt ?? ""));
    if (text.request !== digest) return undefined;
    return { image: await loadImage(path), milliseconds: text.milliseconds };
  } catch (error) {
    if (error instanceof XPromptError || error instanceof z.ZodError || error instanceof SyntaxError)
      return undefined;
    throw error;
  }
}
