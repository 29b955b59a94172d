/** @file The edit judge on true outcomes and on pictures with known mistakes. */
import { expect, test } from "vitest";
import { EditJudge } from "../../src/evaluation/judges/edit.ts";
import type { Image } from "../../src/image/index.ts";
import { familyNamed, type Pair, Random, renderScene, type Scene } from "../../src/tasks/index.ts";
import { colorNames, type SceneObject, shapes } from "../../src/tasks/world/scene.ts";

const size = 48;
const families = ["addObject", "removeObject", "recolor", "replaceShape", "move"];
const perFamily = 4;

interface Case {
  readonly pair: Pair;
  readonly judge: EditJudge;
  readonly random: Random;
  /** Another pair of the same task. */
  readonly other: Pair;
}

const cases: Case[] = families.flatMap((name) =>
  Array.from({ length: perFamily }, (_, i) => {
    const random = Random.of("judge", name, i);
    const task = familyNamed(name).draw(random);
    const [pair, other] = [task.pair(random, size), task.pair(random, size)];
    return { pair, other, random, judge: new EditJudge(pair.scenes!, size) };
  }),
);

const picture = (scene: Scene): Image => renderScene(scene, size).image;
const known = ({ scenes }: Pair) => new Set(scenes!.before.objects.map((object) => JSON.stringify(object)));

/** The true outcome with wrong variants of the edited objects. */
function spoiled(pair: Pair, change: (object: SceneObject) => SceneObject): Scene | undefined {
  const before = known(pair);
  const { after } = pair.scenes!;
  const isTouched = (object: SceneObject) => !before.has(JSON.stringify(object));
  if (!after.objects.some(isTouched)) return undefined;
  return {
    ...after,
    objects: after.objects.map((object) => (isTouched(object) ? change(object) : object)),
  };
}

/** The scene before the edit, without an object that should stay. */
function wronglyRemoved({ scenes }: Pair): Scene | undefined {
  const { before, after } = scenes!;
  const kept = new Set(after.objects.map((object) => JSON.stringify(object)));
  const staying = before.objects.find((object) => kept.has(JSON.stringify(object)));
  return staying && { ...before, objects: before.objects.filter((object) => object !== staying) };
}

const share = (verdicts: readonly boolean[]): number => verdicts.filter(Boolean).length / verdicts.length;

test("pairs contain their scenes", () => {
  for (const { pair } of cases) {
    expect(picture(pair.scenes!.before).data).toEqual(pair.input.data);
    expect(picture(pair.scenes!.after).data).toEqual(pair.output.data);
  }
});

test("true outcomes are right, with or without a little noise", () => {
  const noisy = (image: Image, random: Random): Image => ({
    ...image,
    data: image.data.map((value) => value + random.normal(0, 0.04)),
  });
  const verdicts = cases.flatMap(({ pair, judge, random }) => [
    judge.judge(pair.output).success,
    judge.judge(noisy(pair.output, random)).success,
  ]);
  expect(share(verdicts)).toBeGreaterThanOrEqual(0.98);
});

test("unedited pictures, wrong shapes, colours and positions, and wrong removals are wrong", () => {
  const wrong = cases.flatMap(({ pair, other, judge, random }) => {
    const scenes = [
      spoiled(pair, (object) => ({
        ...object,
        color: random.pick(colorNames.filter((color) => color !== object.color)),
      })),
      spoiled(pair, (object) => ({
        ...object,
        shape: random.pick(shapes.filter((shape) => shape !== object.shape)),
      })),
      wronglyRemoved(pair),
    ];
    const images = [pair.input, other.output, ...scenes.flatMap((scene) => (scene ? [picture(scene)] : []))];
    return images.map((image) => judge.judge(image).success);
  });
  expect(wrong.length).toBeGreaterThan(60);
  expect(share(wrong)).toBeLessThanOrEqual(0.02);
});

test("a right change in a picture that is damaged elsewhere is done, but not kept", () => {
  for (const { pair, judge } of cases) {
    const before = pair.input.data;
    const data = pair.output.data.map((value, i) =>
      Math.abs(value - before[i]!) > 0 ? value : Math.min(value + 0.3, 1),
    );
    expect(judge.judge({ ...pair.output, data })).toEqual({ success: false, done: true, kept: false });
  }
});
