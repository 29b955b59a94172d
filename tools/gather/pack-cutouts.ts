/** @file Makes a pack of cut-outs. */
import sharp from "sharp";
import { isHeldOut } from "../../src/tasks/datasets/set-index.ts";
import { type CutoutsIndex, packFormat } from "../../src/tasks/gathered/format.ts";
import type { Download } from "./download.ts";
import type { CutoutSet } from "./found.ts";
import { type MadePack, PackBytes, sealed } from "./pack.ts";
import { HELD_OUT } from "./pack-icons.ts";

/** Longer side of a packed cut-out in pixels. */
const LONG_SIDE = 160;

export async function packCutouts(
  set: CutoutSet,
  downloads: readonly Download[],
  tick: (count: number) => void,
): Promise<MadePack> {
  const bin = new PackBytes();
  const items: CutoutsIndex["items"] = [];
  for await (const { name, words, bytes } of set.find(downloads)) {
    const { data, info } = await sharp(bytes)
      .toColourspace("srgb")
      .trim({ background: "#0000", threshold: 8 })
      .resize(LONG_SIDE, LONG_SIDE, { fit: "inside", withoutEnlargement: true, kernel: "lanczos3" })
      .ensureAlpha()
      .raw()
      .toBuffer({ resolveWithObject: true });
    for (let i = 0; i < data.length; i += 4) if (data[i + 3] === 0) data.fill(0, i, i + 3);
    items.push({
      name,
      words,
      split: isHeldOut(name, HELD_OUT) ? "heldOut" : "train",
      width: info.width,
      height: info.height,
      ...bin.addDeflated(data),
    });
    tick(items.length);
  }
  return sealed({ format: packFormat, kind: "cutouts", items }, bin);
}
