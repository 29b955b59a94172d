/** @file Requests for pictures: converts JSON and forms to one type, and checks the pictures. */
import { randomSeed } from "../random.ts";
import { MAX_TOTAL } from "../xprompt/full-size.ts";
import type { Example } from "../xprompt/model.ts";
import type { VisualPrompt } from "../xprompt/prompt.ts";
import { Failure } from "./failure.ts";
import { checkModel, libraryNamed } from "./named.ts";
import { checkMask, checkPicture, type Format, type PictureBytes, type Size } from "./pictures.ts";
import type { EditForm, ExampleInput, GenerationRequest, JobRequest } from "./schemas.ts";
import type { Services } from "./services.ts";

/** A checked request for pictures. */
export interface AskedPictures {
  readonly instruction: string;
  readonly count: number;
  readonly seed: number;
  readonly sampling: {
    readonly temperature?: number;
    readonly topK?: number;
    readonly topP?: number;
    readonly guidance?: GenerationRequest["guidance"];
    readonly expected?: boolean;
    readonly onePass?: boolean;
    readonly exampleColours?: boolean;
  };
  readonly input?: PictureBytes;
  readonly mask?: PictureBytes;
  readonly examples: readonly Example[];
  /** Visual prompts, of the server or of the request. */
  readonly prompts: readonly { readonly id: string; readonly prompt: VisualPrompt }[];
  /** Name of a library of the server. */
  readonly library?: string;
  readonly k?: number;
  readonly minSimilarity?: number;
  readonly fullSize: boolean;
  /** Size to which results are scaled and cropped. */
  readonly size?: Size;
  readonly format: Format;
  readonly quality?: number;
  readonly asUrl: boolean;
  readonly stream: boolean;
  readonly partials: number;
  readonly everyRow: boolean;
}

/** The most pixels of all pictures in a response: as PNG in base64, they fit into JavaScript's longest string. */
const MOST_PIXELS = 120e6;

type Fields = Omit<JobRequest, "images" | "mask">;

/** A request in JSON. Without pictures it generates from instruction and examples. */
export function askedInJson(
  fields: JobRequest | GenerationRequest,
  services: Services,
): Promise<AskedPictures> {
  const images = "images" in fields ? fields.images : undefined;
  const mask = "mask" in fields ? fields.mask : undefined;
  return checkedRequest(
    fields,
    { images: images?.map(({ image_url }) => image_url) ?? [], mask: mask?.image_url },
    services,
  );
}

/** A request as a form. */
export function askedInForm(fields: EditForm, services: Services): Promise<AskedPictures> {
  const images = [fields.image ?? [], fields["image[]"] ?? []].flat();
  if (images.length === 0)
    throw new Failure(400, "changing a picture: image: expected a file, got none", { param: "image" });
  return checkedRequest(fields, { images, mask: fields.mask, shown: examplesInForm(fields) }, services);
}

/** The pairs among the files of a form. @throws Failure 400 for a picture without its partner */
export function examplesInForm(
  fields: Pick<EditForm, "example_input[]" | "example_output[]">,
): ExampleInput[] {
  const inputs = [fields["example_input[]"] ?? []].flat();
  const outputs = [fields["example_output[]"] ?? []].flat();
  if (inputs.length !== outputs.length)
    throw new Failure(
      400,
      `reading examples: expected as many example_input[] as example_output[], got ${inputs.length} and ${outputs.length}`,
      { param: "example_output[]" },
    );
  return inputs.map((input, i) => ({ input, output: outputs[i]!, instruction: undefined }));
}

async function checkedRequest(
  fields: Fields,
  {
    images,
    mask,
    shown = [],
  }: { images: readonly PictureBytes[]; mask?: PictureBytes; shown?: ExampleInput[] },
  services: Services,
): Promise<AskedPictures> {
  if (fields.model !== undefined) checkModel(fields.model, "model", services);
  if (images.length > 0 && images.length % 2 === 0)
    throw new Failure(
      400,
      `changing a picture: expected one picture, or example pairs followed by the picture to change, got ${images.length} pictures`,
      { param: "image" },
    );
  const pairs = images.slice(0, -1);
  const examples = [
    ...Array.from({ length: pairs.length / 2 }, (_, i) => ({
      input: pairs[2 * i]!,
      output: pairs[2 * i + 1]!,
      instruction: undefined,
    })),
    ...shown,
    ...(fields.examples ?? []),
  ];
  const input = images.at(-1);
  await checkExamples(examples, services);
  const fullSize = fields.full_size ?? input !== undefined;
  if (mask && !input)
    throw new Failure(400, "generating: expected a mask together with the picture to change, got it alone", {
      param: "mask",
    });
  const given = input && (await checkInput(input, mask, fullSize, services));
  if (given && fullSize) checkTotal(fields.n, given, fields.size ? MAX_TOTAL : MOST_PIXELS);
  if (fields.size) checkTotal(fields.n, fields.size, MOST_PIXELS);
  const library = libraryNamed(fields.library, services);
  const { fingerprint } = services.engine;
  const prompts = await Promise.all(
    [fields.xprompt ?? []].flat().map((reference) => services.prompts.find(reference, fingerprint)),
  );
  const instruction = fields.prompt ?? "";
  if (instruction.trim() === "" && examples.length + prompts.length === 0 && !(library && input))
    throw new Failure(400, "generating: expected a prompt, examples or an xprompt, got none", {
      param: "prompt",
    });
  const format = fields.output_format ?? "png";
  return {
    ...{ instruction, count: fields.n, seed: fields.seed ?? randomSeed() },
    sampling: {
      ...{ temperature: fields.temperature, topK: fields.top_k, topP: fields.top_p },
      guidance: fields.guidance,
      ...{ expected: fields.expected, onePass: fields.one_pass, exampleColours: fields.example_colours },
    },
    ...{ input, mask, examples, prompts, library, fullSize, size: fields.size, format },
    ...(library !== undefined && { k: fields.k, minSimilarity: fields.min_similarity }),
    quality: format === "png" ? undefined : Math.max(1, fields.output_compression ?? 92),
    asUrl: fields.response_format === "url",
    stream: fields.stream ?? false,
    partials: fields.partial_images ?? 0,
    everyRow: fields.every_row ?? false,
  };
}

/** @throws Failure 413 for a picture that is too large, 400 for one that cannot be read */
export async function checkExamples(
  examples: readonly ExampleInput[],
  { maxPixels }: Services,
): Promise<void> {
  for (const [i, { input, output }] of examples.entries()) {
    await checkPicture(input, `examples.${i}.input`, maxPixels);
    await checkPicture(output, `examples.${i}.output`, maxPixels);
  }
}

async function checkInput(
  input: PictureBytes,
  mask: PictureBytes | undefined,
  fullSize: boolean,
  { maxPixels }: Services,
): Promise<Size> {
  const size = await checkPicture(input, "image", maxPixels);
  if (mask && !fullSize)
    throw new Failure(
      400,
      "changing a picture: expected a mask at full size, got full_size false (omit one of them)",
      {
        param: "mask",
      },
    );
  if (mask) await checkMask(mask, maxPixels);
  return size;
}

function checkTotal(count: number, { width, height }: Size, most: number): void {
  if (count * width * height > most)
    throw new Failure(
      400,
      `generating: expected at most ${most / 1e6} megapixels over all pictures, got ${count} of ${width} × ${height} (request fewer)`,
      { param: "n" },
    );
}
