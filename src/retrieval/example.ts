/** @file Examples of a library: validated, with pictures as PNG or JPEG, and an id derived from the content. */
import { messageOf, UsageError, XPromptError } from "../errors.ts";
import { sha256 } from "../hash.ts";
import { encodePng } from "../image/encode-png.ts";
import { checkedSize, checkSize } from "../image/load.ts";
import { type Picture, sourceOf } from "../image/picture.ts";
import { formatOf, toPng } from "../image/to-png.ts";
import { readFileChecked } from "../runtime/files.ts";

/** The longest text of an example, in characters. */
const MAX_TEXT = 4000;
/** The most bytes of a picture. */
const MAX_PICTURE = 64 * 2 ** 20;

/** An example to add. Pictures are paths, bytes of PNG, JPEG, WebP or TIFF files, or decoded pictures. */
export interface NewExample {
  readonly input: Picture;
  readonly output: Picture;
  /** The instruction. */
  readonly instruction?: string;
  /** The kind of change, in the source's terms. */
  readonly subtask?: string;
  /** Where it comes from. */
  readonly source?: string;
  readonly licence?: string;
  /**
   * Its vectors in the embedder's space, if known; of any nonzero length. PNG and JPEG files are then stored without being
   * decoded: only their first bytes are checked.
   */
  readonly vectors?: Vectors;
}

export interface Vectors {
  readonly text?: Float32Array;
  readonly image?: Float32Array;
}

/** Digits of the name of a picture. */
const DIGITS = 16;

/** An example without its pictures. */
export interface Facts {
  /** The first 32 hexadecimal digits of a SHA-256 of both pictures and the instruction. */
  readonly id: string;
  readonly instruction: string;
  readonly subtask: string;
  readonly source: string;
  readonly licence: string;
  /** The first 16 hexadecimal digits of a SHA-256 of the picture before, then those of the picture after. */
  readonly pictures: string;
}

/** The names of both pictures: equal pictures have equal names. */
export const picturesOf = ({
  pictures,
}: Pick<Facts, "pictures">): readonly [before: string, after: string] => [
  pictures.slice(0, DIGITS),
  pictures.slice(DIGITS),
];

/** An example with its pictures: bytes of PNG or JPEG files. */
export interface StoredExample extends Facts {
  readonly input: Uint8Array;
  readonly output: Uint8Array;
}

/**
 * Validates an example and converts it to its stored form.
 * @throws XPromptError for a picture that is missing or not PNG, JPEG, WebP or TIFF, has a size that `loadImage` rejects, or wrong
 * values, or a text that is too long
 */
export async function storedExample(example: NewExample): Promise<StoredExample> {
  const doing = "adding an example";
  if (example.input === undefined || example.output === undefined)
    throw new UsageError(
      `${doing}: expected two pictures, before and after, got ${example.input === undefined && example.output === undefined ? "none" : "one"} (give both)`,
    );
  const text = (name: "instruction" | "subtask" | "source" | "licence") => {
    const given: unknown = example[name] ?? "";
    if (typeof given !== "string")
      throw new UsageError(`${doing}: ${name}: expected a text, got ${typeof given}`);
    const value = given.trim();
    if (value.length > MAX_TEXT)
      throw new XPromptError(
        `${doing}: ${name}: expected at most ${MAX_TEXT} characters, got ${value.length} (shorten it)`,
      );
    return value;
  };
  const facts = {
    instruction: text("instruction"),
    subtask: text("subtask"),
    source: text("source"),
    licence: text("licence"),
  };
  const [input, output] = [
    await pictureBytes(example.input, doing),
    await pictureBytes(example.output, doing),
  ];
  return { ...names(facts.instruction, input, output), ...facts, input, output };
}

/** The ids of the content. */
function names(instruction: string, input: Uint8Array, output: Uint8Array) {
  const pictures = sha256(input).slice(0, DIGITS) + sha256(output).slice(0, DIGITS);
  return { id: sha256(JSON.stringify([pictures, instruction])).slice(0, 32), pictures };
}

/** Whether the pictures and the instruction match the ids. */
export const isWhole = ({ id, instruction, input, output }: StoredExample): boolean =>
  names(instruction, input, output).id === id;

async function pictureBytes(given: Picture, doing: string): Promise<Uint8Array> {
  const picture = await sourceOf(given);
  if (typeof picture !== "string" && !(picture instanceof Uint8Array)) {
    checkSize(picture.width, picture.height, `${doing}: picture`);
    return encodePng(picture);
  }
  const bytes = typeof picture === "string" ? await readFileChecked(picture, "image", MAX_PICTURE) : picture;
  const name = typeof picture === "string" ? picture : "picture";
  if (bytes.length > MAX_PICTURE)
    throw new XPromptError(
      `${doing}: ${name}: expected at most ${MAX_PICTURE} bytes, got ${bytes.length} (make it smaller first)`,
    );
  const kind = formatOf(bytes);
  if (kind === "png" || kind === "jpeg") return bytes;
  if (kind === "other")
    throw new XPromptError(
      `${doing}: ${name}: expected a PNG, JPEG, WebP or TIFF image, got ${bytes.length === 0 ? "an empty file" : "something else"} (convert it, or use another)`,
    );
  try {
    await checkedSize(bytes, `${doing}: ${name}`);
    return await toPng(bytes);
  } catch (error) {
    if (error instanceof XPromptError) throw error;
    const [reason] = messageOf(error).split("\n");
    throw new XPromptError(`${doing}: ${name}: expected a complete image, got a broken one: ${reason}`);
  }
}
