/** @file Emoji in several drawing styles. The same emoji has the same name in every set: that of Noto. */
import { z } from "zod";
import type { Download } from "../download.ts";
import type { FoundIcon, IconSetSource } from "../found.ts";
import { packageFile, packageFiles } from "../package-files.ts";
import { wordsOf } from "../words.ts";
import { readIconify } from "./iconify.ts";

/** Variants by skin tone are left out: they would be half of all emoji, and nearly the same. */
const hasSkinTone = (name: string) => /skin-tone/.test(name);
const skinTone = /1f3f[b-f]/;

/** The package whose names all sets use. */
const naming = "@iconify-json/noto";

function emojiSet(
  name: string,
  title: string,
  style: string,
  packageName: string,
  find: IconSetSource["find"],
): IconSetSource {
  const packages = packageName === naming ? [naming] : [packageName, naming];
  return { kind: "icons", name, title, packages, style, family: "emoji", fit: "content", find };
}

/** Fluent names skin tones without "skin tone": `artist-medium-dark`. */
function isToned(name: string, names: ReadonlyMap<string, string>): boolean {
  const [, base] = /^(.*?)-(light|medium-light|medium|medium-dark|dark)$/.exec(name) ?? [];
  return hasSkinTone(name) || (base !== undefined && names.has(`${base}-medium-dark`));
}

/** Sets of Iconify, which name emoji alike. */
async function* iconify([download]: readonly Download[]): AsyncGenerator<FoundIcon> {
  const drawings = await readIconify(download!);
  for (const [name, source] of drawings) {
    if (!isToned(name, drawings)) yield { name, words: wordsOf(name), source };
  }
}

/** Noto's names by code points: lower case, joined by `-`, without the variation selector. */
async function namesByCode(noto: Download): Promise<Map<string, string>> {
  const codes = z.record(z.string(), z.string());
  const chars = codes.parse(JSON.parse((await packageFile(noto, "chars.json")).toString("utf8")));
  return new Map(Object.entries(chars).map(([code, name]) => [codeOf(code), name]));
}

const codeOf = (code: string) => code.toLowerCase().replaceAll("-fe0f", "");

const openmojiList = z.array(
  z.object({
    hexcode: z.string(),
    annotation: z.string(),
    subgroups: z.string(),
    skintone: z.unknown(),
  }),
);

/** As line art, nearly all flags are the same empty rectangle. */
const isFlag = ({ annotation, subgroups }: { annotation: string; subgroups: string }) =>
  /flag$|^flags$/.test(subgroups) || /\bflag\b/i.test(annotation);

/** OpenMoji's drawings in a folder of the package. What Noto does not have is named by its annotation. */
function openmoji(folder: "color" | "black") {
  return async function* ([download, noto]: readonly Download[]): AsyncGenerator<FoundIcon> {
    const names = await namesByCode(noto!);
    const list = openmojiList.parse(
      JSON.parse((await packageFile(download!, "data/openmoji.json")).toString("utf8")),
    );
    const drawn = list.filter((entry) => !entry.skintone && (folder === "color" || !isFlag(entry)));
    const known = new Map(drawn.map((entry) => [entry.hexcode, entry]));
    const seen = new Set<string>();
    const hexcodeOf = (path: string) => path.slice(`${folder}/svg/`.length, -".svg".length);
    const wanted = (path: string) => path.startsWith(`${folder}/svg/`) && known.has(hexcodeOf(path));
    for await (const { path, bytes } of packageFiles(download!, wanted)) {
      const { hexcode, annotation } = known.get(hexcodeOf(path))!;
      const name = names.get(codeOf(hexcode)) ?? slugOf(annotation);
      if (hasSkinTone(name) || seen.has(name)) continue;
      seen.add(name);
      yield { name, words: annotation.toLowerCase(), source: bytes.toString("utf8") };
    }
  };
}

const slugOf = (annotation: string) =>
  annotation
    .toLowerCase()
    .normalize("NFKD")
    .replace(/[\p{M}’']/gu, "")
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-|-$/g, "");

async function* fluent3d([download, noto]: readonly Download[]): AsyncGenerator<FoundIcon> {
  const names = await namesByCode(noto!);
  for await (const { path, bytes } of packageFiles(download!, (path) => path.endsWith(".webp"))) {
    const code = codeOf(path.slice("assets/".length, -".webp".length));
    const name = names.get(code);
    if (name === undefined || (skinTone.test(code) && code.includes("-")) || hasSkinTone(name)) continue;
    yield { name, words: wordsOf(name), source: bytes };
  }
}

export const emojiSets: readonly IconSetSource[] = [
  emojiSet("icons-noto", "Noto emoji", "shaded emoji", naming, iconify),
  emojiSet("icons-twemoji", "Twemoji", "flat emoji", "@iconify-json/twemoji", iconify),
  emojiSet("icons-openmoji", "OpenMoji in colour", "outlined emoji", "openmoji", openmoji("color")),
  emojiSet("icons-openmoji-black", "OpenMoji as line art", "line art", "openmoji", openmoji("black")),
  emojiSet(
    "icons-fluent-3d",
    "Fluent emoji as 3D renders",
    "3d render",
    "@lobehub/fluent-emoji-3d",
    fluent3d,
  ),
  emojiSet("icons-fluent", "Fluent emoji", "glossy emoji", "@iconify-json/fluent-emoji", iconify),
];
