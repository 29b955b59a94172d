/** @file Judging descriptions: true ones of every family are right, those of other changes are not. */
import { describe, expect, test } from "vitest";
import { judgeWords, type Phrasings } from "../../src/evaluation/judges/words.ts";
import { families, Random } from "../../src/tasks/index.ts";

const difference = (family: (typeof families)[number], i: number): string => {
  const random = Random.of("words", family.name, i);
  return family.draw(random).pair(random, 8).difference;
};
const phrasings: Phrasings = new Map(
  families.map((family) => [
    family.name,
    [...new Set(Array.from({ length: 12 }, (_, i) => difference(family, i)))],
  ]),
);

describe("the kind of change", () => {
  test("is right for true descriptions and wrong for those of other kinds", () => {
    let [right, wrong, count] = [0, 0, 0];
    for (const [f, family] of families.entries())
      for (let i = 100; i < 102; i++) {
        const truth = difference(family, i);
        const other = difference(families[(f + 7) % families.length]!, i);
        if (judgeWords(truth, truth, family.name, phrasings).kind) right++;
        if (judgeWords(other, truth, family.name, phrasings).kind) wrong++;
        count++;
      }
    expect(right / count).toBeGreaterThan(0.98);
    expect(wrong / count).toBeLessThan(0.03);
  });

  test("is wrong for an empty description", () => {
    expect(judgeWords("", "it rains in the output image", "rain", phrasings).kind).toBe(false);
  });
});

describe("objects, attributes and relations", () => {
  const truth = "the red cube of the input image is blue and on the left in the output image";
  const judge = (text: string) => judgeWords(text, truth, "recolor", phrasings);

  test("are right when the words are those of the truth, in any order", () => {
    expect(judge("on the left, the cube that was red is blue")).toMatchObject({
      object: true,
      attribute: true,
      relation: true,
    });
  });

  test.each([
    ["another object", "the red cone is blue, left", { object: false, attribute: true, relation: true }],
    ["another colour", "the red cube is green, left", { object: true, attribute: false, relation: true }],
    ["a colour too many", "the red cube is blue and green, left", { attribute: false }],
    ["another side", "the red cube is blue, right", { object: true, attribute: true, relation: false }],
    ["no word of it", "something changed", { object: false, attribute: false, relation: false }],
  ])("%s is wrong", (_what, text, expected) => {
    expect(judge(text)).toMatchObject(expected);
  });

  test("are missing when the truth does not mention them", () => {
    const judged = judgeWords("it rains", "it rains in the output image", "rain", phrasings);
    expect(Object.keys(judged)).toEqual(["kind"]);
  });

  test("numbers are relations", () => {
    const turned = "the output image is rotated by 90 degrees";
    expect(judgeWords("rotated by 180 degrees", turned, "rotate", phrasings)).toMatchObject({
      relation: false,
    });
    expect(judgeWords(turned, turned, "rotate", phrasings)).toMatchObject({ relation: true });
  });
});
