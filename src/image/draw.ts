/**
 * @file Drawing into a picture: rectangles, other pictures, and text in our own font. All coordinates are in pixels.
 */
import { type Glyph, glyphHeight, glyphOf } from "./font.ts";
import type { Image } from "./image.ts";

/** Red, green and blue in [0, 1]. */
export type Colour = readonly [number, number, number];

/** Rows from one line of text to the next, at scale 1. */
export const lineHeight = glyphHeight + 3;
/** Empty columns between two glyphs, at scale 1. */
const spacing = 1;

/** Fills a rectangle, clipped to the picture. */
export function fillRectangle(
  canvas: Image,
  left: number,
  top: number,
  width: number,
  height: number,
  colour: Colour,
): void {
  const right = Math.min(left + width, canvas.width);
  const bottom = Math.min(top + height, canvas.height);
  for (let y = Math.max(top, 0); y < bottom; y++) {
    for (let x = Math.max(left, 0); x < right; x++) canvas.data.set(colour, (y * canvas.width + x) * 3);
  }
}

/** Copies a picture into another; it must fit. */
export function paste(canvas: Image, image: Image, left: number, top: number): void {
  for (let y = 0; y < image.height; y++) {
    const row = image.data.subarray(y * image.width * 3, (y + 1) * image.width * 3);
    canvas.data.set(row, ((top + y) * canvas.width + left) * 3);
  }
}

/** Writes one line of text, with its upper left corner at (left, top). `scale` is an integer. */
export function drawText(
  canvas: Image,
  text: string,
  left: number,
  top: number,
  { colour, scale }: { colour: Colour; scale: number },
): void {
  let x = left;
  for (const { width, rows } of glyphsOf(text)) {
    rows.forEach((row, r) => {
      row.forEach((ink, c) => {
        if (ink) fillRectangle(canvas, x + c * scale, top + r * scale, scale, scale, colour);
      });
    });
    x += (width + spacing) * scale;
  }
}

/** Width of a line of text. */
export function textWidth(text: string, scale: number): number {
  const columns = glyphsOf(text).reduce((sum, { width }) => sum + width + spacing, -spacing);
  return Math.max(columns, 0) * scale;
}

/**
 * Breaks text into lines that are at most `width` wide, between words if possible. Keeps line breaks of the text.
 * More than `maxLines` lines end in "…".
 */
export function wrapText(text: string, width: number, scale: number, maxLines: number): string[] {
  const fits = (line: string) => textWidth(line, scale) <= width;
  const lines = text.split("\n").flatMap((paragraph) => wrapParagraph(paragraph, fits));
  if (lines.length <= maxLines) return lines;
  const last = [...lines[maxLines - 1]!];
  while (last.length > 0 && !fits(`${last.join("")}…`)) last.pop();
  return [...lines.slice(0, maxLines - 1), `${last.join("").trimEnd()}…`];
}

function wrapParagraph(paragraph: string, fits: (line: string) => boolean): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of paragraph.split(" ")) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (fits(longer)) {
      line = longer;
      continue;
    }
    if (line !== "") lines.push(line);
    line = "";
    for (const character of word) {
      if (line !== "" && !fits(line + character)) {
        lines.push(line);
        line = "";
      }
      line += character;
    }
  }
  return [...lines, line];
}

function glyphsOf(text: string): Glyph[] {
  return [...text.normalize("NFC")].map(glyphOf);
}
