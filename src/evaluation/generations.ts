/**
 * @file Generates and caches the pictures of a suite. Each picture is saved at once, in a folder whose name depends on
 * model, settings and seed; its PNG text holds a digest of the request. An interrupted suite resumes at its last picture,
 * and a picture whose request has changed is generated again.
 */
import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { z } from "zod";
import { XPromptError } from "../errors.ts";
import { sha256 } from "../hash.ts";
import { encodePng, type Image, loadImage, readPngText, rounded, savePng, toBytes } from "../image/index.ts";
import { Progress } from "../progress.ts";
import { makeFolder } from "../runtime/files.ts";
import type { GenerateOptions, XPrompt } from "../xprompt/model.ts";
import type { VisualPrompt } from "../xprompt/prompt.ts";
import { checkRequest, type RecommendedSampling } from "../xprompt/request.ts";

/** Sampling settings for all pictures of a suite. Missing settings default to the model's recommendation. */
export type SamplingSettings = Pick<
  GenerateOptions,
  "temperature" | "topK" | "topP" | "guidance" | "expected" | "onePass"
>;

/** Resolves settings: the given ones, else those that the model recommends, else the defaults of `generate`. */
function resolveSettings(given: SamplingSettings, { config }: XPrompt): RecommendedSampling {
  const { sampling } = config.xprompt;
  const resolved = (pictures: boolean) => {
    const request = checkRequest(given, sampling, { pictures });
    const { temperature, topK, topP, guidance, expected, onePass } = request;
    // Switches that are off are left out, so that pictures from before there were these switches are found again.
    return { temperature, topK, topP, guidance, ...(expected && { expected }), ...(onePass && { onePass }) };
  };
  return {
    ...resolved(true),
    ...(sampling?.wordsAlone && { wordsAlone: resolved(false) }),
  };
}

/** An example pair with pictures of the model's size. */
export interface ExamplePair {
  readonly input: Image;
  readonly output: Image;
  readonly instruction?: string;
}

export interface GenerationRequest {
  /** Unique in the suite: a path without extension, such as `derain/xprompt-0003`. */
  readonly id: string;
  readonly seed: number;
  readonly examples?: readonly ExamplePair[];
  readonly input?: Image;
  readonly instruction?: string;
  /** Return the result at the size of the input instead of the model's size. */
  readonly fullSize?: boolean;
  /** At full size: false for the change that the model drew, even if a map of colours explains the examples. */
  readonly exampleColours?: boolean;
}

export interface Generation {
  /** Rounded to 8 bits per channel, as in the file. */
  readonly image: Image;
  /** Time of generation. A cached picture has the time of its original generation. */
  readonly milliseconds: number;
}

/** Another number for every change of the code that changes pictures: kept ones are then made again. */
const DRAWN_ALIKE = 2;

const textSchema = z.object({ request: z.string(), milliseconds: z.number() });

export class Generations {
  readonly settings: RecommendedSampling;
  /** Folder of the cached pictures, if any. */
  private readonly folder: string | undefined;
  private readonly compressed = new WeakMap<ExamplePair, Promise<VisualPrompt>>();
  private progress: Progress | undefined;
  private done = 0;

  constructor(
    private readonly model: XPrompt,
    private readonly given: SamplingSettings,
    private readonly options: {
      readonly suite: string;
      readonly seed: number;
      /** Folder of the results, which contains the cached pictures. Defaults to none: nothing is cached. */
      readonly out?: string;
      /** The pictures are blank: nothing is written. */
      readonly isRehearsal?: boolean;
      /** No progress is shown. */
      readonly quiet?: boolean;
      readonly signal?: AbortSignal;
    },
  ) {
    this.settings = resolveSettings(given, model);
    const { suite, seed, out } = options;
    const key = sha256(JSON.stringify([DRAWN_ALIKE, suite, model.fingerprint, this.settings, seed])).slice(
      0,
      12,
    );
    this.folder = out && join(resolve(out), "drawings", key);
  }

  /** Sets the total number of pictures and starts to show progress, unless it is quiet. */
  expect(total: number): void {
    if (this.options.quiet) return;
    this.progress = new Progress({ label: this.options.suite, total, unit: "pictures" });
  }

  /** Returns the cached picture of a request, or generates it. */
  async generate(request: GenerationRequest): Promise<Generation> {
    this.options.signal?.throwIfAborted();
    const path = this.folder && join(this.folder, `${request.id}.png`);
    const digest = digestOf(request);
    const generation =
      (path && (await readCached(path, digest))) || (await this.generateNow(request, digest, path));
    this.progress?.update(++this.done);
    return generation;
  }

  stop(): void {
    this.progress?.stop();
  }

  private async generateNow(request: GenerationRequest, digest: string, path?: string): Promise<Generation> {
    const { examples = [], input, instruction, seed, fullSize, exampleColours } = request;
    const { signal } = this.options;
    const { images, timings } = await this.model.generate({
      ...this.given,
      prompt: await Promise.all(examples.map((example) => this.compress(example))),
      input: fullSize && input ? await encodePng(input) : input,
      instruction,
      seed,
      signal,
      ...(fullSize && { fullSize, exampleColours }),
    });
    const generation = { image: rounded(images[0]), milliseconds: timings.total };
    if (path && !this.options.isRehearsal) {
      await makeFolder(dirname(path));
      const text = { request: digest, milliseconds: timings.total, seed, settings: this.settings };
      await savePng(path, generation.image, { text: { Software: "xprompt", xprompt: JSON.stringify(text) } });
    }
    return generation;
  }

  /** Compresses each example once. */
  private compress(example: ExamplePair): Promise<VisualPrompt> {
    const prompt = this.compressed.get(example) ?? this.model.compress([example]);
    this.compressed.set(example, prompt);
    return prompt;
  }
}

/** Digest of everything that determines a picture, except model and settings. */
function digestOf({
  seed,
  examples = [],
  input,
  instruction = "",
  fullSize,
  exampleColours = true,
}: GenerationRequest): string {
  const picture = (image: Image) => sha256(toBytes(image));
  const pairs = examples.map((example) => [
    picture(example.input),
    picture(example.output),
    example.instruction ?? "",
  ]);
  const size = fullSize ? [exampleColours ? "full size" : "full size of the drawing"] : [];
  return sha256(JSON.stringify([seed, pairs, input ? picture(input) : "", instruction, ...size]));
}

/** Reads a cached picture; undefined if it is missing, damaged, or of another request. */
async function readCached(path: string, digest: string): Promise<Generation | undefined> {
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
