import { describe, expect, test } from "vitest";
import { UsageError } from "../../src/errors.ts";
import { Random } from "../../src/random.ts";
import {
  checkName,
  families,
  familyNamed,
  heldOutTasks,
  prototypes,
  selectFamilies,
} from "../../src/tasks/index.ts";
import { largestDifference, pairOf, pairRandom, tasksOf } from "./kit.ts";

const forward = families.filter((family) => !family.reverseOf);
const reversed = families.filter((family) => family.reverseOf);

describe.each(families.map((family) => family.name))("%s", (name) => {
  const tasks = tasksOf(name, 4);

  test("renders finite values in [0, 1] at two sizes, and changes the picture", () => {
    for (const task of tasks)
      for (const size of [32, 48]) {
        const { input, output } = pairOf(task, size);
        for (const image of [input, output]) {
          expect([image.width, image.height, image.data.length]).toEqual([size, size, size * size * 3]);
          expect(image.data.every((value) => value >= 0 && value <= 1)).toBe(true);
        }
        expect(largestDifference(input.data, output.data)).toBeGreaterThan(0.02);
      }
  });

  test("repeats exactly, and renders other scenes for other streams", () => {
    const [task, again] = [tasks[0]!, tasksOf(name, 1)[0]!];
    expect(again.parameters).toEqual(task.parameters);
    expect(pairOf(again, 32)).toEqual(pairOf(task, 32));
    expect(pairOf(task, 32, 1).input).not.toEqual(pairOf(task, 32).input);
  });

  test("speaks in short lower case words", () => {
    for (let n = 0; n < 30; n++) {
      const { instruction, difference } = familyNamed(name)
        .draw(Random.of("words", name, n))
        .pair(pairRandom(n), 4);
      for (const [text, most] of [
        [instruction, 12],
        [difference, 40],
      ] as const) {
        expect(text).toMatch(/^[a-z0-9]+(,? [a-z0-9]+)*$/);
        expect(text).not.toMatch(/\ba [aeiou]|\ban [^aeiou]/);
        expect(text.split(" ").length).toBeLessThanOrEqual(most);
      }
    }
  });
});

describe.each(reversed.map((family) => [family.name, family.reverseOf!] as const))(
  "%s, the reverse of %s",
  (name, original) => {
    test("swaps its pictures exactly", () => {
      for (let n = 0; n < 3; n++) {
        const task = familyNamed(original).draw(Random.of("reverse", n));
        const back = familyNamed(name).draw(Random.of("reverse", n));
        expect(back.parameters).toEqual(task.parameters);
        const [there, here] = [pairOf(task, 32, n), pairOf(back, 32, n)];
        expect(here.input).toEqual(there.output);
        expect(here.output).toEqual(there.input);
        expect(here.instruction).not.toBe(there.instruction);
      }
    });
  },
);

describe("the families", () => {
  test("are many, of every prototype, with one name each", () => {
    expect(forward.length).toBeGreaterThanOrEqual(36);
    expect(new Set(families.map((family) => family.name)).size).toBe(families.length);
    const used = new Set(families.map((family) => family.prototype));
    expect([...used, "text-to-image"].sort()).toEqual([...prototypes].sort());
  });

  test("sample other parameters from other streams", () => {
    const fixed = ["flipHorizontal", "flipVertical", "swapObjects"];
    for (const { name } of families.filter((family) => !fixed.includes(family.name))) {
      const drawn = tasksOf(name, 12).map((task) => JSON.stringify(task.parameters));
      expect(new Set(drawn).size, name).toBeGreaterThan(1);
    }
  });

  test("are found by name, or the closest one is named", () => {
    expect(familyNamed("derain").reverseOf).toBe("rain");
    expect(() => familyNamed("deraim")).toThrow(UsageError);
    expect(() => familyNamed("deraim")).toThrow(/got "deraim" \(did you mean "derain"\?\)/);
  });

  test("are selected by including and excluding", () => {
    expect(selectFamilies()).toEqual(families);
    expect(selectFamilies({ include: ["depth", "rain"] }).map(({ name }) => name)).toEqual(["rain", "depth"]);
    const rest = selectFamilies({ exclude: ["rain"] });
    expect(rest).toHaveLength(families.length - 1);
    expect(rest.some(({ name }) => name === "rain")).toBe(false);
    expect(() => selectFamilies({ exclude: ["nothing"] })).toThrow(UsageError);
    // Combined families are made of the chosen ones alone.
    const [, , two] = selectFamilies({ include: ["invert", "grayscale", "twoChanges"] });
    for (let seed = 0; seed < 20; seed++) {
      const { first, second } = two!.draw(Random.of(seed)).parameters;
      expect([first, second].toSorted()).toEqual(["grayscale", "invert"]);
    }
    const names = (include: string[]) => selectFamilies({ include }).map(({ name }) => name);
    expect(names(["invert", "season", "twoChanges"])).not.toContain("twoChanges");
    expect(names(["invert", "twoChanges", "likeExample"])).toEqual(["invert", "likeExample"]);
    expect(names(["twoChanges"])).toEqual(["twoChanges"]);
    // So is the change from one look to another.
    const looks = ["deblur", "dehaze", "invert", "tint"];
    for (const made of [
      selectFamilies({ include: [...looks, "otherLook"] }),
      selectFamilies({
        exclude: families.map(({ name }) => name).filter((name) => ![...looks, "otherLook"].includes(name)),
      }),
    ]) {
      const look = made.find(({ name }) => name === "otherLook")!;
      const parts = Array.from({ length: 40 }, (_, seed) =>
        Object.values(look.draw(Random.of(seed)).parameters),
      ).flat();
      expect([...new Set(parts)].toSorted()).toEqual(looks);
    }
    expect(names(["invert", "tint", "otherLook"])).toEqual(["invert", "tint"]);
    for (const names of Object.values(heldOutTasks)) for (const name of names) checkName(name);
  });
});
