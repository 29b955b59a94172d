/** @file Renders an icon's drawing to layers of 8-bit RGBA with straight alpha. */
import sharp from "sharp";
import type { FoundIcon, IconSetSource } from "../found.ts";
import { over } from "./over.ts";
import { splitLayers } from "./split.ts";
import { parseSvg, type SvgDocument, writeSvg } from "./svg.ts";

/** Width and height of an icon, and the room around what is fitted, in pixels. */
export const ICON_SIZE = 64;
const MARGIN = { content: 4, canvas: 1 } as const;

/** What is painted is enlarged at most this much when it is fitted: a full stop is not to become a disc. */
const MOST_ENLARGED = 1.35;

/** Layers over one another may differ from the whole drawing by so much, of 255: at most, and on average. */
const TOLERANCE = { most: 8, mean: 0.5 } as const;

export interface RenderedLayer {
  readonly data: Uint8Array;
  /** The layer's one flat colour, in [0, 1]. */
  readonly color?: [number, number, number];
}

/** Bottom first. Nothing where the drawing paints nothing. */
export async function renderIcon(
  { name, source }: FoundIcon,
  { fit }: Pick<IconSetSource, "fit">,
): Promise<RenderedLayer[]> {
  if (typeof source !== "string") return visible([cleaned(await renderPicture(source))]);
  const document = parseSvg(source, name);
  const box = await frame(document, fit);
  const whole = await render(document, box);
  const parts = splitLayers(document);
  if (parts.length > 1) {
    const layers = visible((await Promise.all(parts.map((part) => render(part, box)))).map(cleaned));
    if (
      layers.length > 1 &&
      matches(
        layers.map(({ data }) => data),
        whole,
      )
    )
      return layers;
  }
  return visible([cleaned(whole)]);
}

type Square = readonly [left: number, top: number, side: number];

async function render(document: SvgDocument, box: Square): Promise<Uint8Array> {
  return sharp(Buffer.from(writeSvg(document, box, ICON_SIZE)))
    .ensureAlpha()
    .toColourspace("srgb")
    .raw()
    .toBuffer();
}

async function renderPicture(bytes: Buffer): Promise<Uint8Array> {
  const inner = ICON_SIZE - 2 * MARGIN.content;
  const trimmed = await sharp(bytes)
    .ensureAlpha()
    .trim({ background: "#0000", threshold: 8 })
    .png()
    .toBuffer();
  const picture = sharp(trimmed).resize(inner, inner, {
    fit: "contain",
    background: "#0000",
    kernel: "lanczos3",
  });
  const room = { top: MARGIN.content, bottom: MARGIN.content, left: MARGIN.content, right: MARGIN.content };
  return picture
    .extend({ ...room, background: "#0000" })
    .raw()
    .toBuffer();
}

/** The square of the drawing that becomes the icon. */
async function frame(document: SvgDocument, fit: IconSetSource["fit"]): Promise<Square> {
  const [left, top, width, height] = document.viewBox;
  const side = Math.max(width, height);
  const canvas = around([left + width / 2, top + height / 2], side, MARGIN[fit]);
  if (fit === "canvas") return canvas;
  const bounds = boundsOf(await render(document, canvas));
  if (!bounds) return canvas;
  const unit = canvas[2] / ICON_SIZE;
  const centre = [canvas[0] + bounds.x * unit, canvas[1] + bounds.y * unit] as const;
  return around(centre, Math.max(bounds.side * unit, side / MOST_ENLARGED), MARGIN.content);
}

/** The square that shows `side` units around a centre, with a margin in pixels. */
function around([x, y]: readonly [number, number], side: number, margin: number): Square {
  const whole = (side * ICON_SIZE) / (ICON_SIZE - 2 * margin);
  return [x - whole / 2, y - whole / 2, whole];
}

/** Centre and longer side of what is visible, in pixels. */
function boundsOf(data: Uint8Array): { x: number; y: number; side: number } | undefined {
  let [left, top, right, bottom] = [ICON_SIZE, ICON_SIZE, 0, 0];
  for (let i = 3; i < data.length; i += 4) {
    if (data[i]! < 16) continue;
    const [x, y] = [((i - 3) / 4) % ICON_SIZE, Math.floor(i / 4 / ICON_SIZE)];
    [left, right] = [Math.min(left, x), Math.max(right, x + 1)];
    [top, bottom] = [Math.min(top, y), Math.max(bottom, y + 1)];
  }
  if (right === 0) return undefined;
  return { x: (left + right) / 2, y: (top + bottom) / 2, side: Math.max(right - left, bottom - top) };
}

const visible = (layers: readonly RenderedLayer[]) => layers.filter(({ data }) => isVisible(data));

function isVisible(data: Uint8Array): boolean {
  for (let i = 3; i < data.length; i += 4) if (data[i]! >= 8) return true;
  return false;
}

/** Finds a flat colour and writes it to every visible pixel; where nothing is visible, the bytes become 0. */
function cleaned(rendered: Uint8Array): RenderedLayer {
  const data = Uint8Array.from(rendered);
  let most = 0;
  for (let i = 0; i < data.length; i += 4) {
    if (data[i + 3] === 0) data[i] = data[i + 1] = data[i + 2] = 0;
    else if (data[i + 3]! > data[most + 3]!) most = i;
  }
  const [red, green, blue] = [data[most]!, data[most + 1]!, data[most + 2]!];
  for (let i = 0; i < data.length; i += 4) {
    const alpha = data[i + 3]!;
    if (alpha === 0) continue;
    const differs = Math.max(
      Math.abs(data[i]! - red),
      Math.abs(data[i + 1]! - green),
      Math.abs(data[i + 2]! - blue),
    );
    // Straight alpha comes from 8-bit premultiplied values: the fainter a pixel, the coarser its colour.
    if (differs > 2 + 192 / alpha) return { data };
  }
  for (let i = 0; i < data.length; i += 4) {
    if (data[i + 3] === 0) continue;
    data[i] = red;
    data[i + 1] = green;
    data[i + 2] = blue;
  }
  return { data, color: [red / 255, green / 255, blue / 255] };
}

/** Whether the layers over one another are the whole drawing. */
function matches(layers: readonly Uint8Array[], whole: Uint8Array): boolean {
  const [made, expected] = [over(layers), over([whole])];
  let [most, sum] = [0, 0];
  for (let i = 0; i < made.length; i++) {
    const difference = Math.abs(made[i]! - expected[i]!);
    most = Math.max(most, difference);
    sum += difference;
  }
  return most <= TOLERANCE.most && sum / made.length <= TOLERANCE.mean;
}
