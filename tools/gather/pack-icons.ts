/** @file Makes a pack of icons. */
import { isHeldOut } from "../../src/tasks/datasets/set-index.ts";
import { type IconsIndex, packFormat } from "../../src/tasks/gathered/format.ts";
import type { Download } from "./download.ts";
import type { FoundIcon, IconSetSource } from "./found.ts";
import { ICON_SIZE, renderIcon } from "./icons/render.ts";
import { type MadePack, PackBytes, sealed } from "./pack.ts";

/** Share of names that are held out, the same names in every set. */
export const HELD_OUT = 0.1;

/** Icons that are rendered at a time. */
const BATCH = 16;

export async function packIcons(
  set: IconSetSource,
  downloads: readonly Download[],
  tick: (count: number) => void,
): Promise<MadePack> {
  const bin = new PackBytes();
  const items: IconsIndex["items"] = [];
  const add = async (found: readonly FoundIcon[]) => {
    const rendered = await Promise.all(found.map((icon) => renderIcon(icon, set)));
    for (const [i, { name, words }] of found.entries()) {
      const layers = rendered[i]!.map(({ data, color }) => ({
        ...bin.addDeflated(data),
        ...(color && { color }),
      }));
      if (layers.length === 0) continue;
      items.push({ name, words, split: isHeldOut(name, HELD_OUT) ? "heldOut" : "train", layers });
    }
    tick(items.length);
  };
  let batch: FoundIcon[] = [];
  for await (const icon of set.find(downloads)) {
    batch.push(icon);
    if (batch.length < BATCH) continue;
    await add(batch);
    batch = [];
  }
  await add(batch);
  const { style, family } = set;
  return sealed({ format: packFormat, kind: "icons", style, family, size: ICON_SIZE, items }, bin);
}
