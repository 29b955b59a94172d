/** @file Contact sheets: pictures in rows and columns with titles, labels and captions. */
import { UsageError } from "../errors.ts";
import { type Colour, drawText, fillRectangle, lineHeight, paste, textWidth, wrapText } from "./draw.ts";
import { glyphHeight } from "./font.ts";
import { createImage, type Image } from "./image.ts";
import { resize } from "./resize.ts";

export interface SheetCell {
  image: Image;
  /** Text under the picture. */
  caption?: string;
}

export interface SheetRow {
  /** Text to the left of the row. */
  label?: string;
  cells: readonly SheetCell[];
}

/** The rows of a contact sheet, and its options. */
export interface Sheet {
  readonly columnTitles: readonly string[];
  readonly rows: readonly SheetRow[];
}

export interface SheetOptions {
  title?: string;
  /** Text over each column. */
  columnTitles?: readonly string[];
  /** Pixels of the sheet per pixel of a picture, along each edge; sizes are rounded to whole pixels. Defaults to 1. */
  scale?: number;
  /** Pixels of the sheet per pixel of the font, a whole number. Defaults to 2. */
  textScale?: number;
}

const paper: Colour = [0.98, 0.976, 0.965];
const ink: Colour = [0.13, 0.13, 0.15];
const faint: Colour = [0.42, 0.42, 0.44];
const rule: Colour = [0.85, 0.84, 0.81];

/** Distances in pixels of the font. */
const margin = 12;
const gap = 8;
const rowGap = 12;
const captionGap = 4;
const labelWidth = 72;
const leastColumnWidth = 32;
const headingLines = 3;
const captionLines = 4;
const labelLines = 8;

/** A block of text: its lines, and their height at `scale`. */
interface TextBlock {
  lines: string[];
  scale: number;
  height: number;
}

/**
 * Lays out a contact sheet. Pictures may have different sizes, and rows different lengths. Text that is too long for
 * its column is wrapped, and shortened after some lines.
 * @throws UsageError for a scale that is not above 0, or a `textScale` that is not a whole number from 1
 */
export function contactSheet(rows: readonly SheetRow[], options: SheetOptions = {}): Image {
  const { scale = 1, textScale = 2 } = options;
  if (!(scale > 0 && textScale >= 1 && Number.isInteger(textScale)))
    throw new UsageError(
      `contactSheet: expected a scale above 0 and a whole textScale from 1, got ${scale} and ${textScale}`,
    );
  const units = (count: number) => count * textScale;
  const { lefts, heading, headers, headersHeight, gridTop, bands, width, height } = layOut(
    rows,
    options,
    units,
  );

  const sheet = createImage(width, height, paper);
  const write = (block: TextBlock, left: number, top: number, colour: Colour) => {
    block.lines.forEach((line, i) => {
      drawText(sheet, line, left, top + i * lineHeight * block.scale, { colour, scale: block.scale });
    });
  };
  write(heading, units(margin), units(margin), ink);
  if (headersHeight > 0) {
    const top = gridTop - units(2 * captionGap) - headersHeight;
    headers.forEach((header, c) => {
      write(header, lefts[c]!, top, faint);
    });
    const ruleWidth = width - lefts[0]! - units(margin);
    fillRectangle(sheet, lefts[0]!, gridTop - units(captionGap) - 1, ruleWidth, 1, rule);
  }
  let top = gridTop;
  for (const { cells, captions, label, picturesHeight, height } of bands) {
    write(label, units(margin), top, ink);
    cells.forEach(({ image, width, height }, c) => {
      fillRectangle(sheet, lefts[c]! - 1, top - 1, width + 2, height + 2, rule);
      paste(sheet, resize(image, width, height, "nearest"), lefts[c]!, top);
      write(captions[c]!, lefts[c]!, top + picturesHeight + units(captionGap), faint);
    });
    top += height + units(rowGap);
  }
  return sheet;
}

/**
 * Positions of everything, in pixels of the sheet: first the columns' widths, then the heights of the texts in them.
 */
function layOut(rows: readonly SheetRow[], options: SheetOptions, units: (count: number) => number) {
  const { title = "", columnTitles = [], scale = 1, textScale = 2 } = options;
  const scaled = (length: number) => Math.max(1, Math.round(length * scale));
  const sized = rows.map((row) => ({
    ...row,
    cells: row.cells.map((cell) => ({
      ...cell,
      width: scaled(cell.image.width),
      height: scaled(cell.image.height),
    })),
  }));
  const columnCount = Math.max(columnTitles.length, ...rows.map(({ cells }) => cells.length), 1);
  const columnWidths = Array.from({ length: columnCount }, (_, c) =>
    Math.max(units(leastColumnWidth), ...sized.map(({ cells }) => cells[c]?.width ?? 0)),
  );
  const widestLabel = Math.max(0, ...rows.map(({ label = "" }) => textWidth(label, textScale)));
  const labelRoom = Math.min(units(labelWidth), widestLabel);
  const lefts = [units(margin) + withGap(labelRoom, units(gap))];
  for (const width of columnWidths) lefts.push(lefts.at(-1)! + width + units(gap));
  const width = lefts.pop()! - units(gap) + units(margin);

  const heading = setText(title, width - units(2 * margin), textScale + 1, headingLines);
  const headers = columnWidths.map((room, c) => setText(columnTitles[c], room, textScale, headingLines));
  const headersHeight = highest(headers);
  const gridTop =
    units(margin) + withGap(heading.height, units(gap)) + withGap(headersHeight, units(2 * captionGap));

  const bands = sized.map(({ label: text, cells }) => {
    const captions = cells.map(({ caption }, c) =>
      setText(caption, columnWidths[c]!, textScale, captionLines),
    );
    const label = setText(text, labelRoom, textScale, labelLines);
    const picturesHeight = Math.max(0, ...cells.map(({ height }) => height));
    const height = Math.max(picturesHeight + withGap(highest(captions), units(captionGap)), label.height);
    return { cells, captions, label, picturesHeight, height };
  });
  const gridHeight =
    bands.reduce((sum, band) => sum + band.height, 0) + units(rowGap) * Math.max(bands.length - 1, 0);
  const height = gridTop + gridHeight + units(margin);
  return { lefts, heading, headers, headersHeight, gridTop, bands, width, height };
}

function setText(text: string | undefined, width: number, scale: number, maxLines: number): TextBlock {
  const lines = text ? wrapText(text, width, scale, maxLines) : [];
  return { lines, scale, height: lines.length && ((lines.length - 1) * lineHeight + glyphHeight) * scale };
}

function highest(blocks: readonly TextBlock[]): number {
  return Math.max(0, ...blocks.map(({ height }) => height));
}

/** The space for something and the gap after it; none for nothing. */
function withGap(length: number, gap: number): number {
  return length > 0 ? length + gap : 0;
}
