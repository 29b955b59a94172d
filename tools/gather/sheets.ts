/** @file The contact sheet of a pack, to be looked at. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { inflateRawSync } from "node:zlib";
import sharp, { type OverlayOptions } from "sharp";
import { writeFileAtomic } from "../../src/runtime/files.ts";
import type { Bytes } from "../../src/tasks/gathered/index.ts";
import { over, straight } from "./icons/over.ts";
import type { MadePack } from "./pack.ts";

/** Pictures per row, and the square that each is fitted into, in pixels. */
const PER_ROW = 15;
const CELL = 88;
const LABEL = 14;

/** A large set shows this many pictures, evenly spread. */
const MOST = 180;

/** Shows transparency: neither black nor white lines vanish on it. */
const paper = "#b9c4cf";

export async function writeSheet(folder: string, name: string, pack: MadePack): Promise<void> {
  await mkdir(folder, { recursive: true });
  const cells = cellsOf(pack);
  const shown =
    cells.length <= MOST
      ? cells
      : Array.from({ length: MOST }, (_, i) => cells[Math.floor((i * cells.length) / MOST)]!);
  await writeFileAtomic(join(folder, `${name}.png`), await draw(shown));
}

interface Cell {
  readonly label: string;
  /** RGBA or RGB bytes. */
  readonly image: Bytes;
}

async function draw(cells: readonly Cell[]): Promise<Buffer> {
  const overlays: OverlayOptions[] = [];
  for (const [i, { label, image }] of cells.entries()) {
    const left = (i % PER_ROW) * CELL;
    const top = Math.floor(i / PER_ROW) * (CELL + LABEL);
    const { width, height, channels, data } = image;
    const input = await sharp(data, { raw: { width, height, channels } })
      .resize(CELL - 4, CELL - 4, { fit: "inside", withoutEnlargement: true })
      .png()
      .toBuffer();
    overlays.push({ input, left, top }, { input: textImage(label), left, top: top + CELL - 2 });
  }
  const [width, height] = [PER_ROW * CELL, Math.ceil(cells.length / PER_ROW) * (CELL + LABEL)];
  return sharp({ create: { width, height, channels: 3, background: paper } })
    .composite(overlays)
    .png()
    .toBuffer();
}

function textImage(text: string): Buffer {
  const safe = text.slice(0, 17).replace(/[<&>]/g, " ");
  return Buffer.from(
    `<svg xmlns="http://www.w3.org/2000/svg" width="${CELL}" height="${LABEL}"><text y="10" font-size="9" font-family="sans-serif">${safe}</text></svg>`,
  );
}

function cellsOf({ index, chunks }: MadePack): Cell[] {
  const bin = Buffer.concat(chunks);
  const inflated = ({ offset, length }: { offset: number; length: number }) =>
    inflateRawSync(bin.subarray(offset, offset + length));
  if (index.kind === "icons") {
    const { size } = index;
    return index.items.map(({ name, layers }) => {
      const data = straight(over(layers.map(inflated)));
      return {
        label: layers.length > 1 ? `${layers.length} ${name}` : name,
        image: { width: size, height: size, channels: 4, data },
      };
    });
  }
  if (index.kind === "cutouts") {
    return index.items.map(({ words, width, height, ...place }) => ({
      label: words,
      image: { width, height, channels: 4, data: inflated(place) },
    }));
  }
  return index.items.map(({ words, width, height, offset }) => ({
    label: words,
    image: { width, height, channels: 3, data: bin.subarray(offset, offset + width * height * 3) },
  }));
}
