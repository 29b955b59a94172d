/** @file The detector on true renders of prompts: its verdicts against those from the true objects. */
import { expect, test } from "vitest";
import { type Detection, detectObjects } from "../../src/evaluation/judges/detect.ts";
import {
  drawPrompt,
  isRight,
  kinds,
  type Prompt,
  sceneOf,
} from "../../src/evaluation/suites/geneval-prompts.ts";
import { Random, renderScene, type Scene } from "../../src/tasks/index.ts";

const perKind = 2;
const wrongPrompts = 5;

/** The detections of a perfect detector. */
const truthOf = (scene: Scene): Detection[] =>
  scene.objects.map(({ shape, color, x, z }) => ({
    shape,
    color,
    x: 0.5 + (scene.camera.focal * x) / z,
    bottom: 0.5 + scene.camera.focal * (scene.camera.height / z - Math.tan(scene.camera.pitch)),
  }));

interface Case {
  readonly prompt: Prompt;
  readonly scene: Scene;
  readonly found: readonly Detection[];
  readonly others: readonly Prompt[];
}

const cases: Case[] = kinds.flatMap((kind) =>
  Array.from({ length: perKind }, (_, i) => {
    const random = Random.of("detector", kind, i);
    const prompt = drawPrompt(kind, random);
    const scene = sceneOf(prompt, random);
    const others = Array.from({ length: wrongPrompts }, () => drawPrompt(kind, random));
    return { prompt, scene, found: detectObjects(renderScene(scene, 64).image), others };
  }),
);

test("scenes show their prompts", () => {
  for (const { prompt, scene } of cases) expect(isRight(prompt, truthOf(scene)), prompt.text).toBe(true);
});

test("detections agree with the scene", () => {
  const agreements = cases.flatMap(({ prompt, scene, found, others }) =>
    [prompt, ...others].map((each) => isRight(each, found) === isRight(each, truthOf(scene))),
  );
  expect(agreements).toHaveLength(kinds.length * perKind * (1 + wrongPrompts));
  expect(agreements.filter(Boolean).length / agreements.length).toBeGreaterThanOrEqual(0.98);
});

test("positions are judged by the places of the objects", () => {
  const at = (x: number, bottom: number, shape: Detection["shape"]): Detection => ({
    shape,
    color: "red",
    x,
    bottom,
  });
  const things = [
    { shape: "cube", color: "red" },
    { shape: "cone", color: "red" },
  ] as const;
  const found = [at(0.3, 0.7, "cube"), at(0.6, 0.5, "cone")];
  const judged = (["to the left of", "to the right of", "in front of", "behind"] as const).map((place) =>
    isRight({ kind: "position", text: "", things, place }, found),
  );
  expect(judged).toEqual([true, false, true, false]);
});

test("counts have to be exact, colours have to be on the right things", () => {
  const red: Detection = { shape: "cube", color: "red", x: 0.2, bottom: 0.6 };
  const blue: Detection = { shape: "cone", color: "blue", x: 0.7, bottom: 0.6 };
  const cube = { shape: "cube", color: "red" } as const;
  const counting = { kind: "counting", text: "", things: [cube, cube] } as const;
  expect([[red], [red, red], [red, red, red]].map((found) => isRight(counting, found))).toEqual([
    false,
    true,
    false,
  ]);
  const attribute = {
    kind: "color_attr",
    text: "",
    things: [cube, { shape: "cone", color: "blue" }],
  } as const;
  expect(isRight(attribute, [red, blue])).toBe(true);
  expect(
    isRight(attribute, [
      { ...red, color: "blue" },
      { ...blue, color: "red" },
    ]),
  ).toBe(false);
});
