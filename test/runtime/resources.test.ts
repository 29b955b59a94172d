import { expect, test } from "vitest";
import { buildWith, Resources, workWith } from "../../src/runtime/resources.ts";

/** Resources that record their release. */
function said() {
  const released: string[] = [];
  const open = (name: string, failure?: Error) => ({
    async [Symbol.asyncDispose]() {
      released.push(name);
      if (failure) throw failure;
    },
  });
  return { released, open };
}

test("all are released once, the latest first, whatever fails", async () => {
  const { released, open } = said();
  const resources = new Resources();
  for (const name of ["a", "b"]) resources.own(open(name));
  resources.own(open("c", new Error("c fails")));
  await expect(resources.release()).rejects.toThrow("c fails");
  await resources.release();
  expect(released).toEqual(["c", "b", "a"]);
});

test("a failed build releases its resources, and throws its own error", async () => {
  const { released, open } = said();
  const building = buildWith(async (resources) => {
    resources.own(open("a", new Error("a fails")));
    throw new Error("building fails");
  });
  await expect(building).rejects.toThrow("building fails");
  expect(released).toEqual(["a"]);
  expect(await buildWith(async (resources) => resources.own(open("b")))).toBeDefined();
  expect(released).toEqual(["a"]);
});

test("work releases its resources at its end", async () => {
  const { released, open } = said();
  expect(await workWith(async (resources) => resources.own(open("a")))).toBeDefined();
  expect(released).toEqual(["a"]);
});
