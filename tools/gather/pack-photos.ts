/** @file Makes a pack of photos. */
import { cropName, type PhotosIndex, packFormat } from "../../src/tasks/gathered/format.ts";
import type { Download } from "./download.ts";
import type { PhotoSet } from "./found.ts";
import { type MadePack, PackBytes, sealed } from "./pack.ts";
import { preparePhoto } from "./photos/prepare.ts";

export async function packPhotos(
  set: PhotoSet,
  downloads: readonly Download[],
  tick: (count: number) => void,
): Promise<MadePack> {
  const bin = new PackBytes();
  const items: PhotosIndex["items"] = [];
  for await (const { name, words, bytes, credit } of set.find(downloads)) {
    for (const [part, { width, height, data }] of (await preparePhoto(bytes, set.split)).entries()) {
      items.push({
        name: cropName(name, part),
        words: part === 0 ? words : "", // a crop need not show what the photo shows
        split: set.split,
        width,
        height,
        offset: bin.add(data).offset,
        ...credit,
      });
    }
    tick(items.length);
  }
  return sealed({ format: packFormat, kind: "photos", items }, bin);
}
