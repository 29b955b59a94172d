/** @file The order of the rooms in the README's map, and no circles among files. Types count as imports. */
import { readdirSync, readFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));

const files = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .map((name) => `src/${name}`);

/** The files that each file below `src/` imports. */
const imports = new Map(
  files.map((file) => {
    const text = readFileSync(join(root, file), "utf8");
    const paths = [...text.matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]+)"/g)].map(([, path]) => path!);
    return [file, paths.map((path) => relative(root, resolve(root, file, "..", path)))] as const;
  }),
);

/** The package as Node and as browsers have it. */
const faces = ["src/index.ts", "src/web.ts"];

const roomOf = (file: string): string | undefined => /^src\/([^/]+)\//.exec(file)?.[1];

/** The rooms of the map, each of which may import from those before it. */
const rooms = [...readFileSync(join(root, "README.md"), "utf8").matchAll(/^\| `src\/(\w+)\/` \|/gm)].map(
  ([, room]) => room!,
);

/**
 * Circles that stay: the sum's gradient broadcasts, the broadcast's gradient sums. These operators need each other, and
 * call each other only when a gradient is taken, long after all three files are loaded.
 */
const accepted = ["elementwise", "reduction", "shape"].map((name) => `src/graph/operators/${name}.ts`);

test("the map has every room", () => {
  const found = [...new Set([...imports.keys()].map(roomOf))].filter((room) => room !== undefined);
  expect(rooms.toSorted()).toEqual(found.toSorted());
});

test("every import leads to a file", () => {
  const missing = [...imports.values()].flat().filter((path) => !imports.has(path));
  expect(missing).toEqual([]);
  expect([...imports.values()].flat().length).toBeGreaterThan(imports.size);
});

test("a room imports only from rooms above it", () => {
  const upward = [...imports].flatMap(([file, paths]) => {
    const from = roomOf(file);
    // The package's own faces may import from everywhere, what lies beside them from no room.
    const reach = faces.includes(file) ? rooms.length : from === undefined ? -1 : rooms.indexOf(from);
    const isTooHigh = (path: string) => roomOf(path) !== undefined && rooms.indexOf(roomOf(path)!) > reach;
    return paths.filter(isTooHigh).map((path) => `${file} imports ${path}`);
  });
  expect(upward).toEqual([]);
});

test("no files import each other in a circle", () => {
  const isKnown = (circle: readonly string[]) => circle.every((file) => accepted.includes(file));
  const circles = componentsOf(imports).filter(
    (files) => files.length > 1 || imports.get(files[0]!)!.includes(files[0]!),
  );
  expect(circles.filter((files) => !isKnown(files))).toEqual([]);
});

/** The strongly connected components of a graph (Tarjan, 1972), each sorted. */
function componentsOf(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const order = new Map<string, number>();
  const lowest = new Map<string, number>();
  const open: string[] = [];
  const found: string[][] = [];
  const visit = (node: string): number => {
    order.set(node, order.size);
    lowest.set(node, order.get(node)!);
    open.push(node);
    for (const next of graph.get(node) ?? []) {
      const reached = order.has(next) ? (open.includes(next) ? order.get(next)! : Infinity) : visit(next);
      lowest.set(node, Math.min(lowest.get(node)!, reached));
    }
    if (lowest.get(node) === order.get(node)) found.push(open.splice(open.indexOf(node)).sort());
    return lowest.get(node)!;
  };
  for (const node of graph.keys()) if (!order.has(node)) visit(node);
  return found;
}
