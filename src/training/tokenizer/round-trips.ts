/** @file What a tokenizer makes of held-out pictures: figures, and a contact sheet. */
import { fromPlanes, type ImageTokenizer } from "../../chameleon/tokenizers/image-tokenizer.ts";
import { contactSheet, type Image } from "../../image/index.ts";
import { psnrOf } from "../../numbers.ts";
import { createSource, type PictureBatch, type PictureOptions } from "./data.ts";

const BATCHES = 4;
/** Pictures in a row of the sheet, and rows per world. */
const [PER_ROW, ROWS] = [8, 2];

/** Pictures, their codes, and the decoded copies. */
interface RoundTrip extends Pick<PictureBatch, "matches"> {
  readonly images: readonly Image[];
  readonly codes: readonly Int32Array[];
  readonly copies: readonly Image[];
}

export class HeldOutPictures {
  private readonly batches: readonly { readonly world: string; readonly batch: PictureBatch }[];

  /** Makes held-out batches for each world of the options. */
  constructor(private readonly options: PictureOptions) {
    const none = { scenes: 0, photos: 0, icons: 0 };
    const shown = Object.entries(options.worlds).filter(([, weight]) => weight > 0);
    this.batches = shown.flatMap(([world]) => {
      const source = createSource({ ...options, worlds: { ...none, [world]: 1 } });
      return Array.from({ length: BATCHES }, (_, i) => ({ world, batch: source(i) }));
    });
  }

  /**
   * PSNR in dB, over all pictures together and as the mean per picture of each world; the number of codes in use; and the
   * share of unchanged cells whose code stays the same.
   */
  async figures(tokenizer: ImageTokenizer): Promise<Record<string, number>> {
    const used = new Set<number>();
    const ofWorlds: Record<string, number> = {};
    let [error, count] = [0, 0];
    let [kept, matched] = [0, 0];
    for (const { world, batch } of this.batches) {
      const { images, codes, copies, matches } = await this.roundTrip(tokenizer, batch);
      const errors = images.map((image, i) => meanSquaredError(image, copies[i]!));
      const psnr = errors.reduce((sum, mse) => sum + psnrOf(mse), 0) / errors.length;
      ofWorlds[`psnr.${world}`] = (ofWorlds[`psnr.${world}`] ?? 0) + psnr / BATCHES;
      error += errors.reduce((sum, mse) => sum + mse, 0);
      count += errors.length;
      const cells = codes.flatMap((row) => [...row]);
      for (const code of cells) used.add(code);
      for (const [cell, match] of matches.entries()) {
        if (Number(match) === cell) continue;
        matched++;
        if (cells[cell] === cells[Number(match)]) kept++;
      }
    }
    return { psnr: psnrOf(error / count), ...ofWorlds, usedCodes: used.size, keptCodes: kept / matched };
  }

  /** Some pictures of each world above their copies. */
  async sheet(tokenizer: ImageTokenizer, title: string) {
    const rows = [];
    for (const { world, batch } of this.batches.filter((_, i) => i % BATCHES === 0)) {
      const { images, copies } = await this.roundTrip(tokenizer, batch);
      for (let row = 0; row < ROWS; row++) {
        const cells = (of: readonly Image[]) =>
          of.slice(row * PER_ROW, (row + 1) * PER_ROW).map((image) => ({ image }));
        rows.push({ label: world, cells: cells(images) }, { label: "decoded", cells: cells(copies) });
      }
    }
    return contactSheet(rows, { scale: 2, title });
  }

  private async roundTrip(
    tokenizer: ImageTokenizer,
    { pictures, matches }: PictureBatch,
  ): Promise<RoundTrip> {
    const images = fromPlanes(pictures, this.options.size);
    const codes = await tokenizer.encode(images);
    return { images, codes, copies: await tokenizer.decode(codes), matches };
  }
}

function meanSquaredError(a: Image, b: Image): number {
  let sum = 0;
  for (const [i, value] of a.data.entries()) sum += (value - b.data[i]!) ** 2;
  return sum / a.data.length;
}
