/** @file Pictures that a person brings: checked when they arrive, so that a wrong file is refused where it was dropped. */

export interface Picture {
  readonly blob: Blob;
  readonly name: string;
  /** In pixels, upright. */
  readonly width: number;
  readonly height: number;
  /** It came from the gallery or a library; the others are the person's own. */
  readonly isOffered?: boolean;
}

/** The kinds that the model reads. */
export const PICTURE_TYPES = "image/png,image/jpeg,image/webp";

/**
 * @param largest the most bytes
 * @throws Error that names the file, for one that is no picture of those kinds, broken, or too large
 */
export async function readPicture(blob: Blob, name: string, largest: number): Promise<Picture> {
  if (!PICTURE_TYPES.split(",").includes(blob.type))
    throw new Error(`${name} is not a PNG, JPEG or WebP picture.`);
  if (blob.size > largest) throw new Error(`${name} is larger than ${largest / 1e6} MB.`);
  const bitmap = await createImageBitmap(blob).catch((cause) => {
    throw new Error(`${name} cannot be read: the file is damaged.`, { cause });
  });
  const { width, height } = bitmap;
  bitmap.close();
  return { blob: await copyOf(blob), name, width, height };
}

/** The bytes as they are now: a file that changes on the disk later cannot be read any more. */
export const copyOf = async (blob: Blob): Promise<Blob> =>
  new Blob([await blob.arrayBuffer()], { type: blob.type });

const isPrompt = ({ name }: File) => name.toLowerCase().endsWith(".xprompt");
const after = /after|output|target|result/gi;
const before = /before|input|source/gi;
const isAfter = ({ name }: File) => name.search(after) >= 0;
const isBefore = ({ name }: File) => name.search(before) >= 0;
/** The name that both pictures of a pair have: `before-1.png` and `after-1.png` are a pair. */
const bareName = ({ name }: File) => name.replace(before, "").replace(after, "");

export interface Sorted {
  readonly prompts: readonly File[];
  readonly pairs: readonly (readonly [File, File])[];
  /** The picture that is left over. */
  readonly single?: File;
}

/** Sorts what was dropped together: pairs in the order of their names, then the picture to change. */
export function sortFiles(files: readonly File[]): Sorted {
  const pictures = files
    .filter((file) => !isPrompt(file))
    .sort(
      (a, b) =>
        bareName(a).localeCompare(bareName(b), "en", { numeric: true }) ||
        a.name.localeCompare(b.name, "en", { numeric: true }),
    );
  // Of an odd number, the one that is not called before or after is the picture to change; else the last.
  const odd = pictures.length % 2 === 1;
  const found = pictures.findLastIndex((file) => !isAfter(file) && !isBefore(file));
  const [single] = odd ? pictures.splice(found < 0 ? pictures.length - 1 : found, 1) : [];
  const pairs: [File, File][] = [];
  for (let i = 0; i + 1 < pictures.length; i += 2) {
    const [first, second] = [pictures[i]!, pictures[i + 1]!];
    pairs.push(isAfter(first) && !isAfter(second) ? [second, first] : [first, second]);
  }
  return { prompts: files.filter(isPrompt), pairs, single };
}

/** Has the browser save the blob under the name. */
export function download(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
