/**
 * @file Families of icons and of cutouts, checked on their pairs. Things are made of one or two inks on backgrounds that
 * can be told from the picture, so that each pixel, also at an edge, is a known mixture: what the other picture must show
 * follows from it.
 */
import { describe, expect, test } from "vitest";
import type { Image } from "../../src/image/image.ts";
import type { Cutout, Gathered, Icon, IconLayer, IconSet, Photo } from "../../src/tasks/gathered/index.ts";
import { gatheredFamilies, type Pair, Random, type Task, type TaskFamily } from "../../src/tasks/index.ts";
import { colors } from "../../src/tasks/world/scene.ts";
import { largestDifference, pixel, pixels } from "./kit.ts";

// ————— things

type Rgb = readonly [number, number, number];
type At<T> = (x: number, y: number) => T;

const ink = (...bytes: [number, number, number]) => bytes.map((value) => value / 255) as unknown as Rgb;

/** Inks unlike the named colours. Green and blue of the last two tell them apart on red photographs. */
const [rust, teal, lime, sky] = [ink(190, 70, 20), ink(10, 190, 200), ink(60, 220, 40), ink(30, 90, 230)];
const [coal, slate] = [ink(20, 20, 20), ink(90, 90, 90)];

/** Width and height of icons in their pixels. */
const side = 64;

const disc =
  (radius: number, x: number, y: number): At<boolean> =>
  (u, v) =>
    Math.hypot(u - x, v - y) < radius;

const box =
  (left: number, top: number, right: number, bottom: number): At<boolean> =>
  (u, v) =>
    u > left && u < right && v > top && v < bottom;

/** RGBA bytes of a shape in one ink; further shapes are painted over it. */
function rgba(
  [width, height]: readonly [number, number],
  ...parts: readonly (readonly [shape: At<boolean>, color: Rgb, alpha?: number])[]
) {
  const data = new Uint8Array(width * height * 4);
  for (const [shape, color, alpha = 255] of parts)
    for (let i = 0; i < width * height; i++)
      if (shape((i % width) + 0.5, Math.floor(i / width) + 0.5))
        data.set([...color.map((value) => Math.round(value * 255)), alpha], i * 4);
  return { width, height, channels: 4 as const, data };
}

/** The number of pixels whose centres are in the shape. */
const areaOf = (shape: At<boolean>): number => {
  let area = 0;
  for (let i = 0; i < side * side; i++) if (shape((i % side) + 0.5, Math.floor(i / side) + 0.5)) area++;
  return area;
};

/** A layer of one ink; `uneven` withholds that it has one colour only. */
const layer = (shape: At<boolean>, color: Rgb, uneven?: "uneven"): IconLayer => ({
  image: rgba([side, side], [shape, color]),
  ...(!uneven && { color }),
});

const icon = (name: string, ...layers: IconLayer[]): Icon => ({ name, words: name, layers: () => layers });

const setOf = (icons: readonly Icon[], traits: Partial<IconSet> = {}): IconSet => ({
  ...{ name: "icons-made-up", style: "made up", family: "made up", size: side },
  icons: new Map(icons.map((each) => [each.name, each])),
  ...traits,
});

/** Two inks, no symmetry. */
const bird = icon("bird", layer(disc(20, 30, 34), rust), layer(box(14, 20, 28, 40), teal));
const kite = icon("kite", layer(box(16, 8, 34, 50), teal), layer(disc(7, 44, 44), rust));
/** A coloured disc under a band through which the background shows. */
const veil = icon("veil", layer(disc(12, 32, 22), rust), {
  image: rgba([side, side], [box(10, 40, 54, 52), teal, 128]),
});
const gray = icon("gray", layer(disc(20, 32, 32), coal), layer(disc(10, 26, 32), slate));

// ————— pairs

const nothing: Gathered = { photos: [], iconSets: [], cutouts: [], digest: "made up" };

interface Sizes {
  readonly tasks?: number;
  readonly pairs?: number;
  readonly size?: number;
}

const familyOf = (family: string, of: Partial<Gathered>): TaskFamily =>
  gatheredFamilies({ ...nothing, ...of }).find(({ name }) => name === family)!;

/** Pairs of several tasks of a family. */
function* pairsOf(
  family: string,
  of: Partial<Gathered>,
  { tasks = 6, pairs = 2, size = 48 }: Sizes = {},
): Generator<Pair & Pick<Task, "parameters"> & { readonly number: number }> {
  const found = familyOf(family, of);
  for (let number = 0; number < tasks; number++) {
    const task = found.draw(Random.of("task", family, number));
    for (let i = 0; i < pairs; i++)
      yield {
        ...task.pair(Random.of("pair", family, number, i), size),
        parameters: task.parameters,
        number,
      };
  }
}

/** Pairs of a family and of its reverse: `before` and `after` are of the forward direction. */
function* bothWays(family: string, reverse: string, of: Partial<Gathered>, sizes: Sizes = {}) {
  for (const pair of pairsOf(family, of, sizes))
    yield { ...pair, isReverse: false, before: pair.input, after: pair.output };
  for (const pair of pairsOf(reverse, of, sizes))
    yield { ...pair, isReverse: true, before: pair.output, after: pair.input };
}

/**
 * The names that a pair's texts have at the places of `<name>`. The instruction must be one of these and agree with the
 * difference.
 */
function said(
  { instruction, difference }: Pair,
  instructions: readonly string[],
  pattern: string,
): Partial<Record<string, string>> {
  const match = new RegExp(`^${pattern.replace(/<(\w+)>/g, "(?<$1>[a-z0-9 ]+?)")}$`).exec(difference);
  if (!match) return expect.fail(`"${difference}" does not say "${pattern}"`);
  const names = match.groups ?? {};
  const expected = instructions.map((text) => text.replace(/<(\w+)>/g, (_, name: string) => names[name]!));
  expect(expected).toContain(instruction);
  return names;
}

/** The same for pairs of both directions. */
function saidEither(
  pair: Pair & { readonly isReverse: boolean },
  forward: readonly [instructions: readonly string[], pattern: string],
  reverse: typeof forward,
) {
  return said(pair, ...(pair.isReverse ? reverse : forward));
}

function colorOf(name: string | undefined): Rgb {
  if (name === undefined || !(name in colors)) expect.fail(`${name} is no color`);
  return colors[name as keyof typeof colors];
}

// ————— mixtures

/** A fortieth of a step of 8 bits: what is left of float32 after solving for the mixtures. */
const within = 1e-4;

function expectSmall(size: number, difference: At<number>, what: string, bound = within) {
  for (let y = 0; y < size; y++)
    for (let x = 0; x < size; x++) {
      const value = difference(x, y);
      // Not "above", so that NaN fails.
      if (!(value <= bound)) expect.fail(`${what} differs by ${value} at ${x}, ${y}`);
    }
}

const expectPicture = (picture: Image, expected: At<readonly number[]>, what = "the output") =>
  expectSmall(picture.width, (x, y) => largestDifference(pixel(picture, x, y), expected(x, y)), what);

const sumOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);
const dot = (a: readonly number[], b: readonly number[]): number => sumOf(a.map((value, i) => value * b[i]!));

/** The weights of one or two columns whose sum is closest to `target` (normal equations). */
function weightsFor([a, b]: readonly (readonly number[])[], target: readonly number[]): number[] {
  if (!b) return [dot(a!, target) / dot(a!, a!)];
  const [aa, ab, bb, at, bt] = [dot(a!, a!), dot(a!, b), dot(b, b), dot(a!, target), dot(b, target)];
  const determinant = aa * bb - ab * ab;
  return [(at * bb - bt * ab) / determinant, (bt * aa - at * ab) / determinant];
}

/** A picture taken apart. */
interface Mixture {
  readonly size: number;
  /** How much of each ink a pixel has, from none to 1 in all; none outside of the picture. */
  readonly weights: At<readonly number[]>;
  /** The colour that is not of the inks: the background as far as it shows. */
  readonly rest: At<readonly number[]>;
}

const mixed = (weights: readonly number[], inks: readonly Rgb[]): number[] =>
  [0, 1, 2].map((c) => sumOf(weights.map((weight, k) => weight * inks[k]![c]!)));

function mixture({ width: size }: Image, inks: number, weightsAt: At<number[]>, rest: Mixture["rest"]) {
  const none: number[] = new Array(inks).fill(0);
  const all = Array.from({ length: size * size }, (_, i) => weightsAt(i % size, Math.floor(i / size)));
  for (const weights of all)
    for (const weight of [...weights, sumOf(weights)])
      if (!(weight > -within && weight < 1 + within)) expect.fail(`the inks cover ${weights} of a pixel`);
  const covered = sumOf(all.flat());
  if (!(covered > 25)) expect.fail(`only ${covered} pixels are covered`);
  const isInside = (value: number) => value >= 0 && value < size;
  const weights: Mixture["weights"] = (x, y) => (isInside(x) && isInside(y) ? all[y * size + x]! : none);
  return { size, weights, rest };
}

/** Backgrounds of icons are plain or linear in x and y: the corners tell them. */
function groundOf(picture: Image): At<readonly number[]> {
  const last = picture.width - 1;
  const [corner, right, down] = [
    pixel(picture, 0, 0),
    pixel(picture, last, 0),
    pixel(picture, 0, last),
  ] as const;
  const at: At<number[]> = (x, y) =>
    corner.map((value, c) => value + (x / last) * (right[c]! - value) + (y / last) * (down[c]! - corner[c]!));
  expect(largestDifference(pixel(picture, last, last), at(last, last))).toBeLessThan(1e-6);
  return at;
}

/** An icon of these inks on a bare background; fails for pixels of anything else. */
function iconMixture(picture: Image, inks: readonly Rgb[], ground = groundOf(picture)): Mixture {
  const weightsAt: At<number[]> = (x, y) => {
    const behind = ground(x, y);
    const columns = inks.map((color) => color.map((value, c) => value - behind[c]!));
    return weightsFor(
      columns,
      pixel(picture, x, y).map((value, c) => value - behind[c]!),
    );
  };
  const shown = mixture(picture, inks.length, weightsAt, (x, y) => {
    const free = 1 - sumOf(shown.weights(x, y));
    return ground(x, y).map((value) => free * value);
  });
  expectPicture(picture, repainted(shown, inks), "a mixture of the inks and the background");
  return shown;
}

/** Things of these inks on a photograph that is black but for its red: green and blue are of the inks. */
function photoMixture(picture: Image, inks: readonly Rgb[]): Mixture {
  const weightsAt: At<number[]> = (x, y) =>
    weightsFor(
      inks.map((color) => color.slice(1)),
      pixel(picture, x, y).slice(1),
    );
  const shown = mixture(picture, inks.length, weightsAt, (x, y) => {
    const inked = mixed(shown.weights(x, y), inks);
    return pixel(picture, x, y).map((value, c) => value - inked[c]!);
  });
  for (const [x, y] of pixels(picture)) {
    const [red, ...others] = shown.rest(x, y);
    const free = 1 - sumOf(shown.weights(x, y));
    if (!(red! > -within && red! < free + within)) expect.fail(`${red} of red at ${x}, ${y} is of no photo`);
    if (!(largestDifference(others, [0, 0]) < within)) expect.fail(`${others} at ${x}, ${y} is of no ink`);
  }
  return shown;
}

/** The same mixture with other inks. */
const repainted =
  ({ weights, rest }: Pick<Mixture, "weights" | "rest">, inks: readonly Rgb[]): At<number[]> =>
  (x, y) => {
    const behind = rest(x, y);
    return mixed(weights(x, y), inks).map((value, c) => value + behind[c]!);
  };

/** The inks with these weights on a background. */
const laid =
  (weights: Mixture["weights"], inks: readonly Rgb[], ground: At<readonly number[]>): At<number[]> =>
  (x, y) => {
    const free = 1 - sumOf(weights(x, y));
    const behind = ground(x, y);
    return mixed(weights(x, y), inks).map((value, c) => value + free * behind[c]!);
  };

/** How much all inks cover a pixel. */
const cover =
  ({ weights }: Mixture): At<number> =>
  (x, y) =>
    sumOf(weights(x, y));

/** Area of a thing in pixels and its middle in pixels, (0, 0) being the picture's upper left corner. */
function momentsOf(shown: Mixture) {
  let [area, x, y] = [0, 0, 0];
  for (let i = 0; i < shown.size ** 2; i++) {
    const [column, row] = [i % shown.size, Math.floor(i / shown.size)];
    const share = cover(shown)(column, row);
    area += share;
    x += share * (column + 0.5);
    y += share * (row + 0.5);
  }
  return { area, x: x / area, y: y / area };
}

/** A colour as reports have it. */
const shortened = (color: readonly number[]): string => color.map((value) => value.toFixed(2)).join(" ");

const clamp = (value: number) => Math.min(Math.max(value, 0), 1);

/** The colour turned about the gray axis (Rodrigues' formula), as far as there are such colours. */
function turned(color: Rgb, turns: number): Rgb {
  const angle = 2 * Math.PI * turns;
  const mean = sumOf(color) / 3;
  return color.map((value, c) => {
    const across = (color[(c + 2) % 3]! - color[(c + 1) % 3]!) / Math.sqrt(3);
    return clamp(mean + (value - mean) * Math.cos(angle) + across * Math.sin(angle));
  }) as unknown as Rgb;
}

// ————— icons

describe("styles of icons", () => {
  const shapes = [
    disc(22, 30, 34),
    disc(12, 44, 20),
    box(8, 24, 56, 40),
    box(24, 8, 40, 56),
    box(10, 10, 30, 54),
  ];
  /** The same shapes in the set's ink, and a shape that only this set has. */
  const styled = (name: string, style: string, own: string, color: Rgb, family = "emoji") => {
    const shared = shapes.map((shape, i) => icon(`thing ${i}`, layer(shape, color)));
    return setOf([icon(own, layer(disc(28, 32, 32), color)), ...shared], { name, style, family });
  };
  const noto = styled("icons-noto", "shaded emoji", "sun", rust);
  const twemoji = styled("icons-twemoji", "flat emoji", "moon", teal);
  const fluent = styled("icons-fluent", "line art", "star", coal);
  const other = styled("icons-other", "interface icon", "sun", lime, "interface");
  const inks: Partial<Record<string, Rgb>> = { "shaded emoji": rust, "flat emoji": teal, "line art": coal };

  test.each(["iconStyle", "iconStyleUnseen"])(
    "%s shows one thing at one place in the style that it names first, then in the second",
    (family) => {
      for (const pair of pairsOf(family, { iconSets: [noto, twemoji, fluent, other] }, { tasks: 12 })) {
        const { from, to } = said(
          pair,
          ["draw it as <to>", "turn the <from> into <to>"],
          "the output image shows it as <to> instead of <from>",
        );
        const input = iconMixture(pair.input, [inks[from!]!]);
        expectPicture(pair.output, repainted(input, [inks[to!]!]));
      }
    },
  );

  test("iconStyle shows two ink drawings in one color, sometimes another than their own", () => {
    const drawn = (style: string, shape: At<boolean>) => {
      const icons = Array.from({ length: 4 }, (_, i) => icon(`thing ${i}`, layer(shape, coal)));
      return setOf(icons, { name: `icons-${style}`, style });
    };
    const whole = disc(24, 32, 32);
    const iconSets = [drawn("whole", whole), drawn("half", (x, y) => x < 32 && whole(x, y))];
    /** The colour of the pixel that differs most from the background. */
    const inkOf = (picture: Image): Rgb => {
      const ground = groundOf(picture);
      const distance = ([x, y]: readonly [number, number]) =>
        largestDifference(pixel(picture, x, y), ground(x, y));
      const most = [...pixels(picture)].reduce((best, at) => (distance(at) > distance(best) ? at : best));
      return pixel(picture, ...most);
    };
    const seen = new Set<string>();
    for (const { input, output, difference } of pairsOf("iconStyle", { iconSets }, { pairs: 3 })) {
      const color = inkOf(input);
      const known = [coal, ...Object.values(colors)];
      expect(known.filter((each) => largestDifference(each, color) < within)).toHaveLength(1);
      seen.add(shortened(color));
      const [before, after] = [iconMixture(input, [color]), iconMixture(output, [color], groundOf(input))];
      const ratio = momentsOf(after).area / momentsOf(before).area;
      expect(/as half/.test(difference) ? ratio : 1 / ratio).toBeCloseTo(0.5, 2);
    }
    expect(seen.size).toBeGreaterThan(3);
  });

  test("are possible only where two sets of one family share enough things", () => {
    const isPossible = (family: string, iconSets: readonly IconSet[]) =>
      familyOf(family, { iconSets }).isPossible!();
    expect(isPossible("iconStyle", [noto, twemoji])).toBe(true);
    expect(isPossible("iconStyleUnseen", [noto, twemoji])).toBe(false);
    expect(isPossible("iconStyle", [noto, fluent])).toBe(false);
    expect(isPossible("iconStyleUnseen", [noto, fluent])).toBe(true);
    expect(isPossible("iconStyle", [noto, other])).toBe(false);
    const three = { ...twemoji, icons: new Map([...twemoji.icons].slice(0, 4)) };
    expect(isPossible("iconStyle", [noto, three])).toBe(false);
  });
});

describe("looks of icons", () => {
  test("iconPartColor paints the largest part of one color, and nothing else", () => {
    const largest = disc(20, 32, 32);
    const small = box(26, 20, 40, 34);
    const icons = [
      icon("bottom", layer(largest, rust), layer(small, teal)),
      icon("top", layer(box(4, 16, 26, 48), teal), layer(disc(18, 40, 32), rust)),
      icon("on uneven", layer(disc(28, 32, 32), teal, "uneven"), layer(largest, rust)),
      // These are left out: what could be painted is the whole, not of one color, or hardly visible.
      icon("one part", layer(largest, teal)),
      icon("no even part", layer(largest, rust, "uneven"), layer(small, teal, "uneven")),
      icon("hidden", layer(largest, teal), layer(disc(19.5, 32, 32), rust, "uneven")),
    ];
    const possible = (some: readonly Icon[]) =>
      familyOf("iconPartColor", { iconSets: [setOf(some)] }).isPossible!();
    expect([possible(icons), possible(icons.slice(3))]).toEqual([true, false]);
    for (const pair of pairsOf("iconPartColor", { iconSets: [setOf(icons)] }, { tasks: 15 })) {
      const { color } = said(
        pair,
        ["make its largest part <color>", "paint the main part <color>"],
        "the largest part of the icon is <color> in the output image",
      );
      const input = iconMixture(pair.input, [rust, teal]);
      expectPicture(pair.output, repainted(input, [colorOf(color), teal]));
    }
  });

  test("iconHue turns the hues of colored icons, and keeps the background", () => {
    for (const pair of pairsOf("iconHue", { iconSets: [setOf([bird, kite, veil, gray])] })) {
      const turns = Number(pair.parameters.turns);
      const input = iconMixture(pair.input, [rust, teal]);
      expectPicture(pair.output, repainted(input, [turned(rust, turns), turned(teal, turns)]));
    }
  });

  test.each(["iconInk", "iconInkBack"])(
    "%s shows one shape in the color that it names first, then in the second",
    (family) => {
      for (const pair of pairsOf(family, { iconSets: [setOf([veil])] })) {
        const { from, to } = said(
          pair,
          ["make the icon <to>", "recolor it from <from> to <to>"],
          "the icon is <to> instead of <from> in the output image",
        );
        const input = iconMixture(pair.input, [colorOf(from)]);
        expectPicture(pair.output, repainted(input, [colorOf(to)]));
        // The band is still half transparent.
        const isHalf = ([x, y]: readonly [number, number]) =>
          Math.abs(cover(input)(x, y) - 128 / 255) < within;
        expect([...pixels(pair.input)].filter(isHalf).length).toBeGreaterThan(20);
      }
    },
  );

  test("iconSilhouette fills the shape of a colored icon with one color", () => {
    for (const pair of pairsOf("iconSilhouette", { iconSets: [setOf([bird, kite, veil, gray])] })) {
      const { color } = said(
        pair,
        ["show only its <color> silhouette", "fill the shape with <color>"],
        "the icon is but <article> <color> silhouette in the output image",
      );
      const input = iconMixture(pair.input, [rust, teal]);
      expectPicture(pair.output, repainted(input, [colorOf(color), colorOf(color)]));
    }
  });

  const head = disc(10, 46, 32);
  test.each([
    [
      "the part under it",
      [
        icon("inside", layer(disc(24, 32, 32), rust), layer(box(22, 22, 42, 34), teal)),
        // These are left out: nothing, hardly anything, or almost all would change.
        icon("one part", layer(disc(24, 32, 32), teal)),
        icon("tiny", layer(disc(24, 32, 32), rust), layer(box(29, 29, 34, 34), teal)),
        icon("almost all", layer(disc(24, 32, 32), rust), layer(disc(22, 32, 32), teal)),
      ],
    ],
    [
      "the bare background",
      [icon("beside", layer(box(8, 8, 30, 30), rust), layer(box(8, 40, 30, 56), rust), layer(head, teal))],
    ],
  ])("iconPartOff takes the topmost part off and leaves %s, iconPartOn puts it on", (under, icons) => {
    for (const pair of bothWays("iconPartOff", "iconPartOn", { iconSets: [setOf(icons)] }, { tasks: 10 })) {
      saidEither(
        pair,
        [
          ["take its uppermost part off", "remove the part on top"],
          "the uppermost part of the icon is gone in the output image",
        ],
        [["put its missing part on", "complete the icon"], "the icon has one part more in the output image"],
      );
      const whole = iconMixture(pair.before, [rust, teal]);
      const isOnRust = under === "the part under it";
      const without: Mixture["weights"] = (x, y) => {
        const [base, top] = whole.weights(x, y);
        return [base! + (isOnRust ? top! : 0)];
      };
      expectPicture(pair.after, laid(without, [rust], groundOf(pair.before)), "the icon without its part");
      const top = momentsOf({ ...whole, weights: (x, y) => [whole.weights(x, y)[1]!] });
      const share = top.area / momentsOf(whole).area;
      expect(share > 0.04 && share < 0.6).toBe(true);
    }
  });

  test("iconOutline draws a contour of the given width around the icon, iconOutlineOff removes it", () => {
    const coin = disc(14, 32, 32);
    /** All points within a distance of the coin's pixels. */
    const around = (reach: number): At<boolean> => {
      const steps = Array.from({ length: 2 * Math.ceil(reach) + 1 }, (_, i) => i - Math.ceil(reach));
      return (x, y) =>
        steps.some((dy) => steps.some((dx) => Math.hypot(dx, dy) <= reach && coin(x + dx, y + dy)));
    };
    const widths = new Set<number>();
    const iconSets = [setOf([icon("coin", layer(coin, teal))])];
    for (const pair of bothWays("iconOutline", "iconOutlineOff", { iconSets }, { size: 96, pairs: 1 })) {
      const { color } = saidEither(
        pair,
        [
          ["draw a contour in <color> around it", "outline it in <color>"],
          "the icon has a contour in <color> in the output image",
        ],
        [
          ["remove the contour in <color>", "take the outline away"],
          "the contour in <color> around the icon is gone",
        ],
      );
      const before = iconMixture(pair.before, [teal]);
      const after = iconMixture(pair.after, [teal, colorOf(color)], groundOf(pair.before));
      const moved: At<number> = (x, y) => Math.abs(after.weights(x, y)[0]! - before.weights(x, y)[0]!);
      expectSmall(before.size, moved, "the icon in its contour");
      const [own, all] = [momentsOf(before), momentsOf(after)];
      expect(Math.hypot(all.x - own.x, all.y - own.y)).toBeLessThan(0.05);
      // The disc that draws the contour is of whole pixels, and may have half a pixel more. A hundredth is for sampling.
      const width = Number(pair.parameters.width);
      widths.add(width);
      const pixelArea = own.area / areaOf(coin);
      expect(all.area).toBeGreaterThan(0.99 * areaOf(around(width)) * pixelArea);
      expect(all.area).toBeLessThan(1.01 * areaOf(around(width + 0.5)) * pixelArea);
    }
    expect(widths.size).toBeGreaterThan(2);
  });

  test("iconShadow casts a shadow at the given offset and of the given blur, iconShadowOff removes it", () => {
    const [left, top, right, bottom] = [22, 26, 42, 38] as const;
    const card = box(left, top, right, bottom);
    const iconSets = [setOf([icon("card", layer(card, teal))])];
    for (const pair of bothWays("iconShadow", "iconShadowOff", { iconSets }, { size: 96, pairs: 1 })) {
      const { color } = saidEither(
        pair,
        [
          ["let it cast a <color> shadow", "add a <color> drop shadow"],
          "the icon casts a <color> shadow in the output image",
        ],
        [["remove the <color> shadow", "take the shadow away"], "the <color> shadow of the icon is gone"],
      );
      const before = iconMixture(pair.before, [teal]);
      const after = iconMixture(pair.after, [teal, colorOf(color)], groundOf(pair.before));
      const moved: At<number> = (x, y) => Math.abs(after.weights(x, y)[0]! - before.weights(x, y)[0]!);
      expectSmall(before.size, moved, "the icon with its shadow");

      const middle = momentsOf(before);
      const scale = Math.sqrt(middle.area / areaOf(card)); // pixels of the picture per pixel of the icon
      const [dx, dy, blur] = [pair.parameters.x, pair.parameters.y, pair.parameters.blur].map(Number);
      // Interpolation between the icon's pixels, and the mean over one of the picture's, blur a little more: by the
      // variances of a triangle and of a box.
      const deviation = Math.sqrt(blur! ** 2 + 1 / 6 + 1 / (12 * scale ** 2));
      /** A blurred stripe, in pixels of the icon, along a row or a column of the picture. */
      const stripe = (centre: number, from: number, to: number) =>
        Array.from({ length: before.size }, (_, at) => {
          const place = 32 + (at + 0.5 - centre) / scale;
          let sum = 0;
          for (let i = from + 0.5; i < to; i++) sum += Math.exp(-0.5 * ((place - i) / deviation) ** 2);
          return sum / (deviation * Math.sqrt(2 * Math.PI));
        });
      const across = stripe(middle.x, left + dx!, right + dx!);
      const down = stripe(middle.y, top + dy!, bottom + dy!);
      const wrong: At<number> = (x, y) => {
        const isHidden = before.weights(x, y)[0]! > within;
        return isHidden ? 0 : Math.abs(after.weights(x, y)[1]! - 0.7 * across[x]! * down[y]!);
      };
      // The bound is for the tails that the blur cuts off beyond 2.5 deviations, 1.2 % of it along each axis.
      expectSmall(before.size, wrong, "the shadow", 0.025);
      const darkest = Math.max(...[...pixels(pair.after)].map(([x, y]) => after.weights(x, y)[1]!));
      expect(darkest).toBeGreaterThan(0.3);
    }
  });
});

describe("places of icons", () => {
  /** The middle is between two pixels, and places are 0.48 widths apart: a whole number of pixels. */
  const size = 50;
  const [half, step] = [25, 24];
  const iconSets = [setOf([bird, kite])];
  const inks = [rust, teal];
  const plus = (a: readonly number[], b: readonly number[]) => a.map((value, i) => value + b[i]!);

  test("iconBeside repeats the icon at the named side, iconAlone leaves the bare background there", () => {
    const sides = { "on the left": [-1, 0], "on the right": [1, 0], above: [0, -1], below: [0, 1] };
    const seen = new Set<string | undefined>();
    for (const pair of bothWays("iconBeside", "iconAlone", { iconSets }, { size, tasks: 12, pairs: 1 })) {
      const { where } = saidEither(
        pair,
        [
          ["put the same one <where>", "repeat the icon <where>"],
          "the output image has the same icon again <where>",
        ],
        [
          ["take away the one <where>", "leave only one of them"],
          "the icon <where> of the input image is gone",
        ],
      );
      seen.add(where);
      const [dx, dy] = sides[where as keyof typeof sides] as [number, number];
      const { weights } = iconMixture(pair.before, inks);
      const atSide: At<number> = (x, y) => {
        const isAtSide = dx * (x + 0.5 - half) + dy * (y + 0.5 - half) > 0;
        return isAtSide ? Math.abs(sumOf(weights(x, y))) : 0;
      };
      expectSmall(size, atSide, "the bare background");
      const twice: Mixture["weights"] = (x, y) => plus(weights(x, y), weights(x - dx * step, y - dy * step));
      expectPicture(pair.after, laid(twice, inks, groundOf(pair.before)), "the icon twice");
    }
    expect(seen.size).toBe(4);
  });

  test("iconSwap lets the icons at the named sides trade places", () => {
    const seen = new Set<string | undefined>();
    for (const pair of pairsOf("iconSwap", { iconSets }, { size })) {
      const { axis } = said(
        pair,
        ["swap <axis>", "let the two icons trade places"],
        "the icons <axis> have traded places in the output image",
      );
      seen.add(axis);
      const isSideways = axis === "left and right";
      const input = iconMixture(pair.input, inks);
      const other = (at: number) => (at < half ? at + step : at - step);
      const swapped: Mixture["weights"] = (x, y) =>
        isSideways ? input.weights(other(x), y) : input.weights(x, other(y));
      expectPicture(pair.output, laid(swapped, inks, groundOf(pair.input)));
      const covered = [0, 0];
      for (const [x, y] of pixels(pair.input))
        covered[(isSideways ? x : y) < half ? 0 : 1]! += cover(input)(x, y);
      expect(Math.min(...covered)).toBeGreaterThan(40);
    }
    expect([...seen].sort()).toEqual(["left and right", "top and bottom"]);
  });

  /** Which quarters have the icon of the first quarter, at the same place in them; the others must be bare. */
  function quartersOf(picture: Image, ground: At<readonly number[]>) {
    const { weights } = iconMixture(picture, inks, ground);
    const first: Mixture["weights"] = (x, y) => (x < half && y < half ? weights(x, y) : [0, 0]);
    const filled = [0, 1, 2, 3].filter((quarter) => {
      const [dx, dy] = [step * (quarter % 2), step * Math.floor(quarter / 2)];
      return [...pixels(picture)].some(
        ([x, y]) => sumOf(first(x, y)) > 0.5 && sumOf(weights(x + dx, y + dy)) > 0.5,
      );
    });
    const copies: Mixture["weights"] = (x, y) =>
      filled
        .map((quarter) => first(x - step * (quarter % 2), y - step * Math.floor(quarter / 2)))
        .reduce(plus, [0, 0]);
    expectPicture(picture, laid(copies, inks, ground), "copies of the first icon");
    return filled;
  }

  test.each(["iconMore", "iconFewer"])("%s shows the two named numbers of one icon", (family) => {
    const numbers = ["none", "one", "two", "three", "four"];
    const seen = new Set<number>();
    for (const pair of pairsOf(family, { iconSets }, { size, tasks: 8, pairs: 1 })) {
      const { before, after } = said(
        pair,
        ["make it <after> instead of <before>", "show <after> of them"],
        "the output image has <after> of the icon and the input image <before>",
      );
      const ground = groundOf(pair.input);
      const [input, output] = [quartersOf(pair.input, ground), quartersOf(pair.output, ground)];
      expect([numbers[input.length], numbers[output.length]]).toEqual([before, after]);
      expect(output.length - input.length).toBe(family === "iconMore" ? 1 : -1);
      seen.add(input.length);
      // The icons that both pictures have are alike: the first of each, and so its copies.
      const both = input.filter((quarter) => output.includes(quarter));
      expect(both).toHaveLength(Math.min(input.length, output.length));
      const changed: At<number> = (x, y) =>
        x < half && y < half ? largestDifference(pixel(pair.input, x, y), pixel(pair.output, x, y)) : 0;
      expectSmall(size, changed, "the first icon");
    }
    expect(seen.size).toBe(3);
  });

  /** A disc away from the middle of its icon, at the upper right. */
  const moon = { iconSets: [setOf([icon("moon", layer(disc(10, 44, 26), teal))])] };

  /** The disc's area and its middle, seen from that of the picture, before and after. */
  const moons = (before: Image, after: Image) => {
    const seen = [before, after].map((picture) => {
      const { area, x, y } = momentsOf(iconMixture(picture, [teal], groundOf(before)));
      return { area, x: x - half, y: y - half };
    });
    expect(seen[0]!.x).toBeGreaterThan(1);
    return seen as [(typeof seen)[0], (typeof seen)[0]];
  };

  test("iconEnlarge scales the icon by its factor about the middle, iconShrink scales it back", () => {
    for (const pair of bothWays("iconEnlarge", "iconShrink", moon, { size })) {
      saidEither(
        pair,
        [["enlarge the icon", "make the icon larger"], "the icon is larger in the output image"],
        [["shrink the icon", "make the icon smaller"], "the icon is smaller in the output image"],
      );
      const [small, large] = moons(pair.before, pair.after);
      const factor = Number(pair.parameters.factor);
      // Sampling moves edges by a small part of a pixel.
      expect(Math.abs(large.area / (factor ** 2 * small.area) - 1)).toBeLessThan(0.02);
      expect(Math.hypot(large.x - factor * small.x, large.y - factor * small.y)).toBeLessThan(0.1);
    }
  });

  /** What the texts of iconTurn name: the angle in degrees, clockwise. */
  const angleOf = (pair: Pair) => {
    const { degrees, way } = said(
      pair,
      ["turn the icon to the <way>", "rotate the icon by <degrees> degrees"],
      "the icon is turned by <degrees> degrees to the <way> in the output image",
    );
    expect(["left", "right"]).toContain(way);
    return (way === "right" ? 1 : -1) * Number(degrees);
  };

  test("iconTurn turns the icon about the middle by the named angle, to the named side", () => {
    const angles = new Set<number>();
    for (const pair of pairsOf("iconTurn", moon, { size, tasks: 40, pairs: 1 })) {
      const degrees = angleOf(pair);
      angles.add(degrees);
      const [before, after] = moons(pair.input, pair.output);
      const [cos, sin] = [Math.cos((degrees * Math.PI) / 180), Math.sin((degrees * Math.PI) / 180)];
      const expected = { x: before.x * cos - before.y * sin, y: before.x * sin + before.y * cos };
      // Sampling moves edges by a small part of a pixel.
      expect(Math.hypot(after.x - expected.x, after.y - expected.y)).toBeLessThan(0.1);
      expect(Math.abs(after.area / before.area - 1)).toBeLessThan(0.02);
    }
    expect(angles.size).toBeGreaterThan(8);
  });

  test("iconTurn by right angles moves whole pixels", () => {
    const last = size - 1;
    const angles = new Set<number>();
    for (const pair of pairsOf("iconTurn", { iconSets }, { size, tasks: 30, pairs: 1 })) {
      const degrees = angleOf(pair);
      if (degrees % 90 !== 0) continue;
      angles.add(degrees);
      const { weights } = iconMixture(pair.input, inks);
      const from: Mixture["weights"] = (x, y) => {
        if (degrees === 180) return weights(last - x, last - y);
        return degrees === 90 ? weights(y, last - x) : weights(last - y, x);
      };
      expectPicture(pair.output, laid(from, inks, groundOf(pair.input)));
    }
    expect([...angles].sort((a, b) => a - b)).toEqual([-90, 90, 180]);
  });

  test("iconGround puts the icon before another plain background, the same in all pairs", () => {
    const grounds: string[] = [];
    for (const pair of pairsOf("iconGround", { iconSets }, { tasks: 8 })) {
      const ground = pixel(pair.output, 0, 0);
      expect(String(ground)).toBe(grounds[pair.number] ?? String(ground));
      grounds[pair.number] = String(ground);
      expect(shortened(ground)).toBe(pair.parameters.color);
      const { weights } = iconMixture(pair.input, inks);
      expectPicture(
        pair.output,
        laid(weights, inks, () => ground),
      );
    }
    expect(new Set(grounds).size).toBe(8);
    // Another color, though random backgrounds are close to it now and then.
    for (const { input, output } of pairsOf("iconGround", { iconSets }, { tasks: 30, pairs: 10, size: 8 })) {
      const ground = pixel(output, 0, 0);
      expect(sumOf(pixel(input, 0, 0).map((value, c) => Math.abs(value - ground[c]!)))).toBeGreaterThan(0.19);
    }
  });
});

// ————— cutouts

describe("cutouts", () => {
  /** Pictures are as high as the photographs, so that each crop has whole pixels of its photograph. */
  const size = 48;
  const photos = Array.from({ length: 3 }, (_, i): Photo => {
    const [width, height] = [size + 12 * i, size];
    const data = new Uint8Array(width * height * 3);
    for (let p = 0; p < width * height; p++) data[p * 3] = (p * (31 + 2 * i) + (p >> 4) * 57) % 256;
    return { name: `photo ${i}`, words: "", image: { width, height, channels: 3, data } };
  });
  const partOf = ({ image }: Photo, left: number, isMirrored = false): At<number[]> => {
    return (x, y) => {
      const column = left + (isMirrored ? size - 1 - x : x);
      return [image.data[(y * image.width + column) * 3]! / 255, 0, 0];
    };
  };
  const everyPart = photos.flatMap((photo) =>
    Array.from({ length: photo.image.width - size + 1 }, (_, left) => left).flatMap((left) => [
      partOf(photo, left),
      partOf(photo, left, true),
    ]),
  );
  /** Whether the picture is a part of a photograph and nothing else. */
  const isBare = (picture: Image) =>
    everyPart.some((part) =>
      [...pixels(picture)].every(([x, y]) => largestDifference(pixel(picture, x, y), part(x, y)) < 1e-6),
    );

  /** Wider than high, without symmetry. */
  const form: readonly [number, number] = [60, 40];
  const [body, head] = [disc(16, 20, 22), box(30, 12, 56, 20)];
  const cutouts: readonly Cutout[] = [
    {
      name: "robin",
      words: "robin",
      image: rgba(form, [body, lime], [head, sky], [box(8, 20, 20, 26), sky, 128]),
    },
    { name: "toucan", words: "toucan", image: rgba(form, [body, sky], [box(40, 4, 50, 30), lime]) },
  ];
  const inks = [lime, sky];

  test("addCutout lays the named thing at the task's place, removeCutout leaves the bare photograph", () => {
    const things = [
      { words: "An Apple", noun: "apple", article: "an", color: lime },
      { words: "red-hot oven", noun: "red hot oven", article: "a", color: sky },
      { words: "oak", noun: "oak", article: "an", color: ink(120, 30, 200) },
      { words: "a ball of wool", noun: "thing", article: "a", color: ink(10, 200, 140) },
      { words: "", noun: "thing", article: "a", color: ink(200, 140, 255) },
    ].map((each, i) => ({
      ...each,
      name: `cutout ${i}`,
      image: rgba(form, [body, each.color], [head, each.color]),
    }));
    // Area and middle of the form in its own pixels, the middle seen from that of the cutout.
    const whole = momentsOf({
      size: form[0],
      weights: (x, y) => [y < form[1] && (body(x + 0.5, y + 0.5) || head(x + 0.5, y + 0.5)) ? 1 : 0],
      rest: () => [0, 0, 0],
    });
    const [aside, down] = [whole.x - form[0] / 2, whole.y - form[1] / 2];
    const seen = new Set<string>();
    const places: At<number>[] = [];
    for (const pair of bothWays("addCutout", "removeCutout", { photos, cutouts: things }, { tasks: 14 })) {
      const { noun, article, color, name } = things.find((each) => each.name === pair.parameters.cutout)!;
      seen.add(name);
      const names = saidEither(
        pair,
        [
          ["add <article> <noun>", "put <article> <noun> into the picture"],
          "the output image has <article> <noun> in addition",
        ],
        [["remove the <noun>", "take the <noun> away"], "the <noun> of the input image is gone"],
      );
      expect(pair.isReverse ? { noun } : { noun, article }).toEqual({ ...names });

      expect(isBare(pair.before)).toBe(true);
      const after = photoMixture(pair.after, [color]);
      const before: At<number[]> = (x, y) => pixel(pair.before, x, y);
      expectPicture(pair.after, laid(after.weights, [color], before), "the thing on the photograph");

      const number = 2 * pair.number + Number(pair.isReverse);
      const place = places[number] ?? cover(after);
      places[number] = place;
      expectSmall(size, (x, y) => Math.abs(cover(after)(x, y) - place(x, y)), "the thing in the other pair");
      const { area, x, y } = momentsOf(after);
      const [left, top, width] = [pair.parameters.x, pair.parameters.y, pair.parameters.side].map(Number);
      const scale = (width! * size) / form[0];
      // Sampling moves edges by a small part of a pixel. The thing may be mirrored.
      expect(Math.abs(area / (whole.area * scale ** 2) - 1)).toBeLessThan(0.02);
      expect(Math.abs(Math.abs(x - left! * size) - Math.abs(aside) * scale)).toBeLessThan(0.1);
      expect(Math.abs(y - top! * size - down * scale)).toBeLessThan(0.1);
    }
    expect(seen.size).toBe(things.length);
  });

  test("cutoutPlainGround keeps the object, before the named color", () => {
    for (const pair of pairsOf("cutoutPlainGround", { photos, cutouts })) {
      const { color } = said(
        pair,
        ["make the background plain <color>", "cut the object out"],
        "the object is before a plain <color> background in the output image",
      );
      const { weights } = photoMixture(pair.input, inks);
      expectPicture(
        pair.output,
        laid(weights, inks, () => colorOf(color)),
      );
    }
  });

  test("cutoutOtherGround keeps the object, before one part of one photograph", () => {
    const parts = new Set<string>();
    for (const pair of pairsOf("cutoutOtherGround", { photos, cutouts }, { tasks: 10 })) {
      const { photo: name, left, top } = pair.parameters;
      parts.add(`${name} ${left}`);
      expect(top).toBe(0);
      const photo = photos.find((each) => each.name === name)!;
      const { weights } = photoMixture(pair.input, inks);
      expectPicture(pair.output, laid(weights, inks, partOf(photo, Number(left))));
    }
    expect(parts.size).toBeGreaterThan(4);
  });

  test("cutoutHue turns the hues of colored objects, and keeps the rest", () => {
    // Left out: its hues hardly show.
    const drab = { name: "drab", words: "drab", image: rgba(form, [body, ink(110, 90, 130)]) };
    for (const pair of pairsOf("cutoutHue", { photos, cutouts: [...cutouts, drab] })) {
      const turns = Number(pair.parameters.turns);
      const input = photoMixture(pair.input, inks);
      expectPicture(pair.output, repainted(input, [turned(lime, turns), turned(sky, turns)]));
    }
  });

  test("cutoutMask shows how the object covers the picture in two colors, the same in all pairs", () => {
    const used: string[] = [];
    for (const pair of pairsOf("cutoutMask", { photos, cutouts })) {
      const covers = cover(photoMixture(pair.input, inks));
      const [inside] = [...pixels(pair.input)].filter(([x, y]) => covers(x, y) > 1 - 1e-6);
      const [mask, paper] = [pixel(pair.output, ...inside!), pixel(pair.output, 0, 0)];
      expect([shortened(mask), shortened(paper)]).toEqual([pair.parameters.ink, pair.parameters.paper]);
      expectPicture(
        pair.output,
        laid(
          (x, y) => [covers(x, y)],
          [mask],
          () => paper,
        ),
      );
      const both = [mask, paper]
        .flat()
        .map((value) => value.toFixed(5))
        .join(" ");
      expect(both).toBe(used[pair.number] ?? both);
      used[pair.number] = both;
    }
    expect(new Set(used).size).toBe(6);
  });

  test("cutoutHighlight makes all but the object look as named, cutoutUnhighlight undoes that", () => {
    const looks: Partial<Record<string, (color: Rgb) => number[]>> = {
      gray: ([r, g, b]) => new Array<number>(3).fill(0.299 * r + 0.587 * g + 0.114 * b),
      dark: (color) => color.map((value) => 0.3 * value),
      pale: (color) => color.map((value) => 1 - 0.3 * (1 - value)),
    };
    const seen = new Set<string | undefined>();
    for (const pair of bothWays("cutoutHighlight", "cutoutUnhighlight", { photos, cutouts }, { pairs: 1 })) {
      const { look } = saidEither(
        pair,
        [
          ["make all but the object <look>", "highlight the object"],
          "all but the object is <look> in the output image",
        ],
        [
          ["bring the <look> background back", "undo the highlighting"],
          "the background is no longer <look> in the output image",
        ],
      );
      seen.add(look);
      const covers = cover(photoMixture(pair.before, inks));
      const highlighted: At<number[]> = (x, y) => {
        const color = pixel(pair.before, x, y);
        return looks[look!]!(color).map((value, c) => value + covers(x, y) * (color[c]! - value));
      };
      expectPicture(pair.after, highlighted, "the highlighted object");
    }
    expect([...seen].sort()).toEqual(["dark", "gray", "pale"]);
  });
});

test("photoCloser shows a part of the same photograph with finer details, photoFarther what is around it", () => {
  /** Red and green tell the column and the row, counted from either end; blue has fine checks. */
  const photos = [1, -1].map((way): Photo => {
    const [width, height] = [240, 200];
    const data = new Uint8Array(width * height * 3);
    for (let p = 0; p < width * height; p++) {
      const [x, y] = [p % width, Math.floor(p / width)];
      data.set(
        [...[x, y].map((at) => (way > 0 ? at : 255 - at)), ((x >> 1) + (y >> 1)) % 2 ? 255 : 0],
        p * 3,
      );
    }
    return { name: `ramp ${way}`, words: "", image: { width, height, channels: 3, data } };
  });
  const size = 48;
  /** The columns (or rows) of a photograph that a picture shows, by linear regression. */
  const shownIn = (picture: Image, axis: "x" | "y", way: number) => {
    let [sum, slope, squares] = [0, 0, 0];
    for (const [x, y] of pixels(picture)) {
      const value = 255 * pixel(picture, x, y)[axis === "x" ? 0 : 1];
      const at = (axis === "x" ? x : y) + 0.5 - size / 2;
      sum += way > 0 ? value : 255 - value;
      slope += at * value * way;
      squares += at * at;
    }
    const length = (size * slope) / squares;
    // The mean number of a span's columns is half a column less than its middle.
    return { from: sum / size ** 2 + 0.5 - length / 2, length };
  };
  const contrastOf = (picture: Image) => {
    const values = [...pixels(picture)].map(([x, y]) => pixel(picture, x, y)[2]);
    const mean = sumOf(values) / values.length;
    return Math.sqrt(sumOf(values.map((value) => (value - mean) ** 2)) / values.length);
  };
  const ways = new Set<number>();
  for (const pair of bothWays("photoCloser", "photoFarther", { photos }, { size })) {
    saidEither(
      pair,
      [
        ["go closer to a part", "show a part of it from nearer"],
        "the output image shows a part of the input image from nearer, with finer details",
      ],
      [
        ["step back from it", "show what is around it"],
        "the output image shows what is around the input image",
      ],
    );
    const way = Math.sign(pixel(pair.before, size - 1, 0)[0] - pixel(pair.before, 0, 0)[0]);
    ways.add(way);
    for (const axis of ["x", "y"] as const) {
      const [wide, near] = [shownIn(pair.before, axis, way), shownIn(pair.after, axis, way)];
      // Crops are of whole pixels: half a pixel is rounded away, and the regression adds a little.
      expect(Math.abs(near.length - wide.length / Number(pair.parameters.factor))).toBeLessThan(0.7);
      const free = wide.length - near.length;
      expect(Math.abs(near.from - wide.from - Number(pair.parameters[axis]) * free)).toBeLessThan(0.7);
    }
    expect(contrastOf(pair.after)).toBeGreaterThan(1.5 * contrastOf(pair.before));
  }
  expect(ways).toEqual(new Set([1, -1]));
});

test("families of both directions swap the pictures of the same tasks", () => {
  const data = Uint8Array.from({ length: 80 * 60 * 3 }, (_, i) => (i * 7919) % 256);
  const photos: Photo[] = [{ name: "noise", words: "", image: { width: 80, height: 60, channels: 3, data } }];
  const image = rgba([side, side], [disc(20, 30, 34), lime]);
  const cutouts: Cutout[] = ["ball", "bowl"].map((name) => ({ name, words: name, image }));
  const of = { ...nothing, photos, cutouts, iconSets: [setOf([bird, kite])] };
  const reverse = {
    ...{ iconInkBack: "iconInk", iconPartOn: "iconPartOff", iconOutlineOff: "iconOutline" },
    ...{ iconShadowOff: "iconShadow", iconAlone: "iconBeside", iconFewer: "iconMore" },
    ...{ iconShrink: "iconEnlarge", removeCutout: "addCutout", cutoutUnhighlight: "cutoutHighlight" },
    photoFarther: "photoCloser",
  };
  for (const [back, forward] of Object.entries(reverse)) {
    expect(familyOf(back, of).reverseOf).toBe(forward);
    for (let n = 0; n < 3; n++) {
      const [there, here] = [forward, back].map((name) => {
        const task = familyOf(name, of).draw(Random.of("both ways", n));
        return { parameters: task.parameters, pair: task.pair(Random.of("both ways", "pair", n), 32) };
      });
      expect(here!.parameters).toEqual(there!.parameters);
      expect(here!.pair.input).toEqual(there!.pair.output);
      expect(here!.pair.output).toEqual(there!.pair.input);
      expect(here!.pair.instruction).not.toBe(there!.pair.instruction);
      expect(here!.pair.difference).not.toBe(there!.pair.difference);
    }
  }
});
