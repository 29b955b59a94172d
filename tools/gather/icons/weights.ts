/** @file Interface icons in several weights or fillings: one set per style, its icons named without the style. */
import type { FoundIcon, IconSetSource } from "../found.ts";
import { wordsOf } from "../words.ts";
import { readIconify } from "./iconify.ts";

/** @param suffix What the style's icons end in; empty for those that end in none of `others`. */
function styleSet(
  family: string,
  packageName: string,
  suffix: string,
  style: string,
  others: readonly string[],
): IconSetSource {
  const label = suffix.slice(1) || "regular";
  return {
    kind: "icons",
    name: `icons-${family}-${label}`,
    title: `Icons of ${family}, ${label}`,
    packages: [packageName],
    style,
    family,
    fit: "canvas",
    async *find([download]): AsyncGenerator<FoundIcon> {
      for (const [name, source] of await readIconify(download!)) {
        const ending = others.filter((other) => other !== "" && name.endsWith(other));
        const own = ending.reduce((longest, other) => (other.length > longest.length ? other : longest), "");
        if (own !== suffix) continue;
        const base = name.slice(0, name.length - suffix.length);
        yield { name: base, words: wordsOf(base), source };
      }
    },
  };
}

/** The sets of one package, by what their icons end in. */
function styleSets(
  family: string,
  packageName: string,
  styles: Readonly<Record<string, string>>,
  unused: readonly string[] = [],
): IconSetSource[] {
  const suffixes = [...Object.keys(styles), ...unused];
  return Object.entries(styles).map(([suffix, style]) =>
    styleSet(family, packageName, suffix, style, suffixes),
  );
}

export const weightSets: readonly IconSetSource[] = [
  ...styleSets("phosphor", "@iconify-json/ph", {
    "": "line icon",
    "-thin": "thin line icon",
    "-light": "light line icon",
    "-bold": "bold line icon",
    "-fill": "filled icon",
    "-duotone": "duotone icon",
  }),
  ...styleSets(
    "solar",
    "@iconify-json/solar",
    {
      "-linear": "rounded line icon",
      "-bold": "rounded filled icon",
      "-bold-duotone": "rounded two-tone icon",
      "-broken": "broken line icon",
    },
    ["-line-duotone", "-outline"],
  ),
  ...styleSets("mingcute", "@iconify-json/mingcute", {
    "-line": "soft line icon",
    "-fill": "soft filled icon",
  }),
];
