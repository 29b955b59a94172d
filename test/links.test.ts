/** @file The guides' links: every file that they name is there, and every heading. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));
const guides = [
  ...["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "bench/README.md", "models/nano/README.md"],
  ...readdirSync(join(root, "docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => join("docs", name)),
];

const textOf = (guide: string): string => readFileSync(join(root, guide), "utf8");

/** Anchors as GitHub makes them from headings. */
function anchorsOf(guide: string): string[] {
  return [...textOf(guide).matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

/** Targets of links and pictures, those of the web left out. */
function targetsOf(guide: string): string[] {
  const found = textOf(guide).matchAll(/\]\(([^)\s]+)\)|<img src="([^"]+)"/g);
  return [...found].map(([, link, picture]) => (link ?? picture)!).filter((target) => !/^\w+:/.test(target));
}

test.each(guides)("%s", (guide) => {
  const broken = targetsOf(guide).filter((target) => {
    const [path = "", anchor] = target.split("#");
    const file = path === "" ? guide : relative(root, join(root, dirname(guide), path));
    return !existsSync(join(root, file)) || (anchor !== undefined && !anchorsOf(file).includes(anchor));
  });
  expect(broken).toEqual([]);
});

test("there are links to check", () => {
  expect(guides.flatMap(targetsOf).length).toBeGreaterThan(50);
});
