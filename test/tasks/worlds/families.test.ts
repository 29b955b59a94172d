/** @file Families on photographs and icons. */
import { describe, expect, test } from "vitest";
import { createImage } from "../../../src/image/index.ts";
import { Random } from "../../../src/random.ts";
import {
  families,
  familiesOf,
  gatheredFamilies,
  heldOutTasks,
  knownFamilies,
  selectFamilies,
  type TaskFamily,
} from "../../../src/tasks/index.ts";
import { IconWorld } from "../../../src/tasks/worlds/icons.ts";
import { PhotoWorld } from "../../../src/tasks/worlds/photos.ts";
import type { World } from "../../../src/tasks/worlds/world.ts";
import { gathered } from "./kit.ts";

const worlds = {
  photos: new PhotoWorld(gathered.photos),
  icons: new IconWorld(gathered.iconSets, gathered.photos),
};
const opened = { gathered, draw: () => undefined };
const draw = (family: TaskFamily, n: number) => family.draw(Random.of("task", family.name, n));

describe.each(["photos", "icons"] as const)("%s", (name) => {
  const world = worlds[name];

  test.each(familiesOf(opened, name).map((family) => [family.name, family] as const))(
    "%s",
    (_name, family) => {
      for (let n = 0; n < 2; n++) {
        const pair = draw(family, n).pair(Random.of("pair", n), 32, world);
        for (const { width, height, data } of [pair.input, pair.output]) {
          expect([width, height, data.length]).toEqual([32, 32, 32 * 32 * 3]);
          expect(data.every((value) => value >= 0 && value <= 1)).toBe(true);
        }
        expect(pair.input.data).not.toEqual(pair.output.data);
        expect(pair.instruction).toMatch(/^[a-z0-9]+(,? [a-z0-9]+)*$/);
        expect(pair.instruction.split(" ").length).toBeLessThanOrEqual(12);
        expect(pair.difference.split(" ").length).toBeLessThanOrEqual(40);
        expect(draw(family, n).pair(Random.of("pair", n), 32, world)).toEqual(pair);
      }
    },
  );

  test("the same stream gives the same pictures, another stream others, mostly with captions", () => {
    const shown = Array.from({ length: 12 }, (_, n) => world.picture(Random.of("picture", n), 24));
    expect(world.picture(Random.of("picture", 0), 24)).toEqual(shown[0]);
    // Two icons that fill a white picture may be the same one.
    expect(new Set(shown.map(({ picture }) => String(picture.data))).size).toBeGreaterThan(9);
    const said = shown.flatMap(({ words }) => words ?? []);
    expect(said.length).toBeGreaterThan(2);
    for (const words of said)
      expect(words).toMatch(name === "photos" ? /^view \d$/ : /^(a )?thing \d(, [a-z ]+)?$/);
  });
});

/** A world of pictures without colour, and now and then one in colour, which is all that a change of colours can alter. */
const nearlyGray: World = {
  name: "icons",
  picture(random, size) {
    const shade = random.uniform(0.5, 1);
    const color = random.chance(0.5) ? [shade, shade, shade] : [0.9, 0.2, 0.1];
    const picture = createImage(size, size);
    // Darker to the left and, less so, to the top.
    for (let i = 0; i < picture.data.length; i++) {
      const [x, y] = [Math.floor(i / 3) % size, Math.floor(i / 3 / size)];
      picture.data[i] = (color[i % 3]! * (2 * x + y)) / (3 * size);
    }
    return { picture };
  },
};

test.each(["grayscale", "colorize", "hueRotation", "channelPermutation", "twoChanges", "otherLook"])(
  "%s: another picture is drawn where the change has no effect",
  (name) => {
    const family = familiesOf(opened, "icons").find((each) => each.name === name)!;
    let alike = 0;
    for (let n = 0; n < 40; n++) {
      const { input, output } = draw(family, n).pair(Random.of("gray", n), 24, nearlyGray);
      if (input.data.every((value, i) => Math.abs(value - output.data[i]!) < 0.01)) alike++;
    }
    expect(alike).toBeLessThan(3); // 1 of 500 where half of all pictures show nothing
  },
);

describe("families of gathered pictures", () => {
  const made = gatheredFamilies(gathered);

  test("swap the pictures of those they reverse", () => {
    for (const back of made.filter(({ reverseOf }) => reverseOf)) {
      const forward = made.find(({ name }) => name === back.reverseOf)!;
      const [there, here] = [forward, back].map((each) => each.draw(Random.of("r")).pair(Random.of("p"), 32));
      expect(here!.input).toEqual(there!.output);
      expect(here!.output).toEqual(there!.input);
    }
  });

  test("keep two pairs of styles for measuring alone", () => {
    const stylesOf = (name: string) => {
      const family = made.find((each) => each.name === name)!;
      return new Set(
        Array.from({ length: 60 }, (_, n) => Object.values(draw(family, n).parameters).join(" ")),
      );
    };
    expect([...stylesOf("iconStyleUnseen")].sort()).toEqual([
      "icons-fluent icons-noto",
      "icons-noto icons-fluent",
    ]);
    const trained = stylesOf("iconStyle");
    expect(trained.size).toBe(4);
    expect(trained).not.toContain("icons-noto icons-fluent");
  });

  test("are known by name, also those that are held out, and left out where nothing was gathered for them", () => {
    const names = knownFamilies.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const each of Object.values(heldOutTasks).flat()) expect(names).toContain(each);
    const without = { ...opened, gathered: { ...gathered, cutouts: [] } };
    expect(familiesOf(without, "photos").some(({ name }) => /cutout/i.test(name))).toBe(false);
    expect(familiesOf({ draw: () => undefined })).toBe(families);
  });
});

test("scaling a photograph down keeps its mean colour", () => {
  const data = Uint8Array.from({ length: 96 * 96 * 3 }, (_, i) => (i * 7919) % 256);
  const world = new PhotoWorld([
    { name: "noise", words: "", image: { width: 96, height: 96, channels: 3, data } },
  ]);
  const mean = (values: ArrayLike<number>) =>
    Array.from(values).reduce((sum, x) => sum + x, 0) / values.length;
  for (let n = 0; n < 5; n++) {
    const { picture, words } = world.picture(Random.of("whole", n), 8);
    expect(mean(picture.data)).toBeCloseTo(mean(data) / 255, 1);
    expect(words).toBeUndefined();
  }
});

test("combined families use training families only", () => {
  const chosen = selectFamilies({ include: ["rotate", "invert", "twoChanges", "likeExample"] });
  for (const family of chosen.filter(({ name }) => ["twoChanges", "likeExample"].includes(name)))
    for (let n = 0; n < 20; n++)
      for (const part of Object.values(draw(family, n).parameters))
        expect(["rotate", "invert"]).toContain(part);
  const rest = selectFamilies({ exclude: ["invert"] }).find(({ name }) => name === "likeExample")!;
  for (let n = 0; n < 100; n++) expect(draw(rest, n).parameters.change).not.toBe("invert");
});
