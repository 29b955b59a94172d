import { describe, expect, test } from "vitest";
import { Random } from "../../src/random.ts";
import { caption, drawScene } from "../../src/tasks/index.ts";
import { relation } from "../../src/tasks/world/caption.ts";
import { colorNames, shapes } from "../../src/tasks/world/scene.ts";
import { object, sceneOf } from "./kit.ts";

describe("caption", () => {
  test("names every object with its colour and no other, in at most 40 lower case words", () => {
    for (let n = 0; n < 300; n++) {
      const scene = drawScene(Random.of("caption", n));
      const text = caption(scene, Random.of("wording", n));
      expect(text).toMatch(/^[a-z]+([,:]? [a-z]+)*$/);
      expect(text.split(" ").length).toBeLessThanOrEqual(40);
      expect(text).not.toMatch(/\ba [aeiou]|\ban [^aeiou]/);
      for (const { color, shape } of scene.objects)
        expect(text).toMatch(new RegExp(`\\b${color} ${shape}s?\\b`));
      for (const shape of shapes)
        if (!scene.objects.some((each) => each.shape === shape)) expect(text).not.toContain(shape);
      for (const color of colorNames)
        if (!scene.objects.some((each) => each.color === color))
          expect(text).not.toMatch(new RegExp(`\\b${color}\\b`));
    }
  });

  test("counts equal objects", () => {
    const scene = sceneOf([
      object({ x: -1 }),
      object({ x: 1 }),
      object({ shape: "cone", color: "blue", z: 8 }),
    ]);
    const texts = Array.from({ length: 30 }, (_, n) => caption(scene, Random.of("count", n)));
    expect(texts.some((text) => text.includes("two red spheres"))).toBe(true);
    expect(texts.some((text) => text.startsWith("three objects"))).toBe(true);
  });

  test("has several wordings, and says season and time where they show", () => {
    const scene = sceneOf([object()], { place: "meadow", season: "autumn", time: "night" });
    const texts = new Set(Array.from({ length: 30 }, (_, n) => caption(scene, Random.of("many", n))));
    expect(texts.size).toBeGreaterThan(3);
    expect([...texts].some((text) => text.includes("in autumn at night"))).toBe(true);
    expect(caption(sceneOf([]), Random.of("empty"))).toContain("empty");
  });
});

test("of three objects, the relation is of the last two", () => {
  const shapesOf = ["sphere", "cone", "cube"] as const;
  const scene = sceneOf(shapesOf.map((shape, i) => object({ shape, x: 1.5 * (i - 1) })));
  const texts = Array.from({ length: 60 }, (_, n) => caption(scene, Random.of("three", n)));
  const related = texts.flatMap((text) => {
    const found = /^an? .*red (\w+), and an? .*red (\w+) to the (left|right) of an? .*red (\w+)/.exec(text);
    return found ? [found.slice(1)] : [];
  });
  expect(related.length).toBeGreaterThan(10);
  expect(texts.filter((text) => / of an? .* and /.test(text))).toEqual([]);
  for (const [other, a, side, b] of related) {
    expect(new Set([other, a, b])).toEqual(new Set(shapesOf));
    const order: readonly string[] = shapesOf;
    const isLeft = order.indexOf(a!) < order.indexOf(b!);
    expect(side).toBe(isLeft ? "left" : "right");
  }
});

test("relations are those seen from the camera", () => {
  const middle = object();
  expect(relation(object({ x: -2 }), middle)).toBe("to the left of");
  expect(relation(object({ x: 2 }), middle)).toBe("to the right of");
  expect(relation(object({ z: 4.8 }), middle)).toBe("in front of");
  expect(relation(object({ z: 8 }), middle)).toBe("behind");
});
