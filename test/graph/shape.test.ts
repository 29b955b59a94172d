import { describe, expect, test } from "vitest";
import { addDims, multiplyDims, ShapeError } from "../../src/graph/index.ts";
import { broadcastAxes, broadcastShapes, knownShape, resolveAxis, sizeOf } from "../../src/graph/shape.ts";

describe("sums and products of dimensions", () => {
  test("fold the numbers, and compare equal whatever the order", () => {
    expect(addDims(2, 3)).toBe(5);
    expect(addDims(2, "time", 3)).toBe("time+5");
    expect(addDims("time", "past")).toBe("past+time");
    expect(addDims(addDims("time", 1), addDims("past", 2))).toBe("past+time+3");
    expect(addDims("time", 0)).toBe("time");
    expect(multiplyDims(2, "batch", 3, "time")).toBe("batch*time*6");
    expect(multiplyDims("batch", 1)).toBe("batch");
    expect(multiplyDims("batch", 0)).toBe(0);
    expect(addDims("batch*time", 3)).toBe("batch*time+3");
  });

  test("keep sums inside products together", () => {
    const rows = multiplyDims("batch", "past+time");
    expect(rows).toBe("(past+time)*batch");
    expect(multiplyDims(rows, 4)).toBe(multiplyDims("past+time", 4, "batch"));
    expect(multiplyDims("a+b", "c+d", "e")).toBe(multiplyDims(multiplyDims("e", "c+d"), "a+b"));
    expect(multiplyDims("past+time", 1)).toBe("past+time");
    expect(multiplyDims("past+time")).toBe("past+time");
    expect(addDims(rows, 1)).toBe("(past+time)*batch+1");
    expect(addDims(addDims(rows, 1), 1)).toBe("(past+time)*batch+2");
    expect(multiplyDims(addDims(rows, 1), 2)).toBe("((past+time)*batch+1)*2");
    expect(multiplyDims("a+b", "c+d")).toBe("(a+b)*(c+d)");
  });

  test("give the size of a shape", () => {
    expect(sizeOf([])).toBe(1);
    expect(sizeOf([2, 3])).toBe(6);
    expect(sizeOf(["(past+time)*batch", 4])).toBe(sizeOf(["batch", "past+time", 2, 2]));
  });
});

test("knownShape and resolveAxis refuse invalid input", () => {
  expect(knownShape([2, 3], "mean")).toEqual([2, 3]);
  expect(() => knownShape(["batch", 3], "mean")).toThrow(
    new ShapeError("mean: expected known dimensions, got [batch, 3]"),
  );
  expect([resolveAxis(0, 2), resolveAxis(-1, 2)]).toEqual([0, 1]);
  for (const axis of [2, -3, 0.5])
    expect(() => resolveAxis(axis, 2)).toThrow(`expected an axis of a rank-2 tensor, got ${axis}`);
});

describe("broadcasting", () => {
  test.each([
    [[2, 3], [3], [2, 3]],
    [
      [2, 1],
      [1, 3],
      [2, 3],
    ],
    [[], [4], [4]],
    [
      ["batch", 1],
      [1, "time"],
      ["batch", "time"],
    ],
    [
      ["batch", 3],
      ["batch", 3],
      ["batch", 3],
    ],
  ])("%o and %o give %o", (a, b, both) => {
    expect(broadcastShapes(a, b)).toEqual(both);
    expect(broadcastShapes(b, a)).toEqual(both);
  });

  test("does not guess that a symbolic dimension fits", () => {
    expect(() => broadcastShapes(["batch"], [3])).toThrow(
      "expected shapes that broadcast, got [batch] and [3]",
    );
    expect(() => broadcastShapes(["batch"], ["time"])).toThrow(ShapeError);
  });

  test("names the axes along which a shape was repeated", () => {
    expect(broadcastAxes([3, 1], [2, 3, 4])).toEqual([0, 2]);
    expect(broadcastAxes([1, 3], [1, 3])).toEqual([]);
    expect(broadcastAxes([1, 3], ["batch", 3])).toEqual([0]);
    expect(broadcastAxes([], [2])).toEqual([0]);
  });
});
