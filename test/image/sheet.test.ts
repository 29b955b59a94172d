import { describe, expect, test } from "vitest";
import { UsageError } from "../../src/errors.ts";
import { drawText, textWidth, wrapText } from "../../src/image/draw.ts";
import { contactSheet, createImage, type Image, toBytes } from "../../src/image/index.ts";

/** Text at scale 1 as rows of "#" and " ". */
function drawn(text: string): string[] {
  const canvas = createImage(textWidth(text, 1), 9);
  drawText(canvas, text, 0, 0, { colour: [1, 1, 1], scale: 1 });
  return Array.from({ length: 9 }, (_, y) =>
    Array.from({ length: canvas.width }, (_, x) =>
      canvas.data[(y * canvas.width + x) * 3] ? "#" : " ",
    ).join(""),
  );
}

function pixelOf(image: Image, x: number, y: number): number[] {
  return [...toBytes(image).subarray((y * image.width + x) * 3, (y * image.width + x) * 3 + 3)];
}

/** Number of pixels with exactly this colour. */
function count(image: Image, colour: readonly number[]): number {
  const bytes = toBytes(image);
  let found = 0;
  for (let i = 0; i < bytes.length; i += 3) if (colour.every((value, c) => bytes[i + c] === value)) found++;
  return found;
}

describe("text", () => {
  test("text is drawn glyph by glyph on a baseline", () => {
    expect(drawn("Api!")).toEqual([
      " ###        # #",
      "#   #         #",
      "#   # ####  # #",
      "##### #   # # #",
      "#   # #   # # #",
      "#   # #   # #  ",
      "#   # ####  # #",
      "      #        ",
      "      #        ",
    ]);
  });

  test("every printable ASCII character has a shape of its own", () => {
    const characters = Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + i));
    const shapes = new Set(characters.map((character) => drawn(character).join("\n")));
    expect(shapes.size).toBe(94);
    expect(shapes).not.toContain(drawn("□").join("\n"));
  });

  test("accents are dropped, unknown characters become a box, and empty text has no width", () => {
    expect(drawn("É")).toEqual(drawn("E"));
    expect(drawn("E\u0301")).toEqual(drawn("E"));
    expect(drawn("雨")).toEqual(drawn("□"));
    expect([textWidth("", 2), textWidth("i", 2), textWidth("ii", 3)]).toEqual([0, 2, 9]);
  });

  test("breaks between words, inside those that are too long, and is shortened", () => {
    const lines = wrapText("the rain is gone\nnow", 50, 1, 9);
    expect(lines).toEqual(["the rain is", "gone", "now"]);
    const pieces = wrapText("a unbreakableword", 30, 1, 9);
    expect(pieces.join("").replace("a", "")).toBe("unbreakableword");
    for (const line of [...lines, ...pieces]) expect(textWidth(line, 1)).toBeLessThanOrEqual(50);
    const [short] = wrapText("the rain is gone", 50, 1, 1);
    expect(short).toMatch(/^the rain.*…$/);
    expect(textWidth(short!, 1)).toBeLessThanOrEqual(50);
    expect(wrapText("m", 2, 1, 3)).toEqual(["m"]);
  });
});

describe("contactSheet", () => {
  const red = createImage(10, 10, [1, 0, 0]);
  const blue = createImage(20, 5, [0, 0, 1]);

  test("shows every picture at its scale, in its column, and nothing overlaps", () => {
    const rows = [
      { label: "first", cells: [{ image: red, caption: "a caption" }, { image: blue }] },
      { cells: [{ image: blue, caption: "words ".repeat(60) }] },
    ];
    for (const scale of [1, 3]) {
      const sheet = contactSheet(rows, { scale, title: "Title", columnTitles: ["one", "two", "three"] });
      expect(count(sheet, [255, 0, 0])).toBe(100 * scale ** 2);
      expect(count(sheet, [0, 0, 255])).toBe(200 * scale ** 2);
      expect(sheet.data.length).toBe(sheet.width * sheet.height * 3);
    }
  });

  test("rounds fractions of pixels, and takes text at whole scales only", () => {
    const odd = createImage(33, 33, [1, 0, 0]);
    const cells = [{ image: odd }, { image: blue }];
    expect(count(contactSheet([{ cells }], { scale: 0.5 }), [255, 0, 0])).toBe(17 ** 2);
    expect(count(contactSheet([{ cells }], { scale: 0.01 }), [0, 0, 255])).toBe(1);
    for (const wrong of [{ scale: 0 }, { scale: Number.NaN }, { textScale: 1.5 }, { textScale: 0 }])
      expect(() => contactSheet([{ cells }], wrong)).toThrow(UsageError);
  });

  test("has light margins, and dark text only where there is text", () => {
    const paper = [250, 249, 246];
    const plain = contactSheet([{ cells: [{ image: red }] }]);
    expect(pixelOf(plain, 0, 0)).toEqual(paper);
    expect(pixelOf(plain, plain.width - 1, plain.height - 1)).toEqual(paper);
    const ink = [33, 33, 38];
    expect(count(plain, ink)).toBe(0);
    expect(count(contactSheet([{ label: "x", cells: [{ image: red }] }]), ink)).toBeGreaterThan(0);
  });

  test("is deterministic, and accepts empty input", () => {
    const rows = [{ label: "a", cells: [{ image: red, caption: "c" }] }];
    expect(contactSheet(rows)).toEqual(contactSheet(rows));
    for (const empty of [[], [{ cells: [] }], [{ label: "only a label", cells: [] }]]) {
      expect(contactSheet(empty, { title: "Nothing" }).width).toBeGreaterThan(0);
    }
  });
});
