/** @file The programs of docs/graph.md do what it says, with the built package. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { repository } from "../built.ts";

const guide = readFileSync(join(repository, "docs", "graph.md"), "utf8");
const [training, declaration] = [...guide.matchAll(/^```js\n(.*?)^```/gms)].map(([, code]) => code!);
const [, printed] = /^It prints:\n\n```\n(.*?)^```/ms.exec(guide)!;

/** What a program prints that lies in the package's folder. */
const run = (program: string): string =>
  execFileSync(process.execPath, ["--input-type=module", "--eval", program], {
    cwd: repository,
    encoding: "utf8",
  });

test("a network is trained, and exported", () => {
  const numbers = (text: string) => text.match(/[\d.]+/g)!.map(Number);
  const words = (text: string) => text.replace(/[\d.]+/g, "#");
  const program = run(training!);
  expect(words(program)).toBe(words(printed!));
  // The last digit may differ on another processor.
  for (const [i, number] of numbers(program).entries()) expect(number).toBeCloseTo(numbers(printed!)[i]!, 2);
});

test("an operator of one's own has values and gradients", () => {
  const check = `
    import { InferenceSession, Tensor } from "onnxruntime-node";
    import { exportOnnx, Graph, gradients, sum } from "x-prompt/graph";
    const x = new Graph().input("x", "float32", [3]);
    const y = sine(x);
    const [slope] = gradients(sum(y, 0, { keep: false }), [x]);
    const session = await InferenceSession.create(exportOnnx({ y, slope }));
    const out = await session.run({ x: new Tensor("float32", [0, 1, 2], [3]) });
    console.log(JSON.stringify([[...out.y.data], [...out.slope.data]]));
  `;
  const [values, slopes] = JSON.parse(run(declaration + check)) as number[][];
  for (const [i, x] of [0, 1, 2].entries()) {
    expect(values![i]).toBeCloseTo(Math.sin(x), 5);
    expect(slopes![i]).toBeCloseTo(Math.cos(x), 5);
  }
});
