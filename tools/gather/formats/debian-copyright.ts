/**
 * @file Who made a file of a Debian package, and its licence: `debian/copyright` in the machine-readable format 1.0.
 *
 * The file is paragraphs of fields. `Files` lists patterns with `*` and `?`; the last paragraph that fits applies.
 */
import type { Credit } from "../found.ts";

/** A paragraph for a whole package may name dozens. */
const MOST_AUTHORS = 4;

interface Paragraph {
  readonly patterns: readonly RegExp[];
  readonly credit: Credit;
}

/** @returns the credit of a path as the copyright file spells it; pictures are found under any extension. */
export function readCopyright(text: string): (path: string) => Credit {
  const paragraphs = text.split(/\n\s*\n/).flatMap((paragraph) => {
    const fields = fieldsOf(paragraph);
    if (fields.files === undefined) return [];
    return [{ patterns: fields.files.trim().split(/\s+/).map(patternOf), credit: creditOf(fields) }];
  });
  return (path) => {
    const bare = withoutExtension(path);
    const fits = ({ patterns }: Paragraph) => patterns.some((pattern) => pattern.test(bare));
    return paragraphs.findLast(fits)?.credit ?? {};
  };
}

/** Fields by name in lower case, their lines joined by line breaks. */
function fieldsOf(paragraph: string): Record<string, string | undefined> {
  const fields: Record<string, string> = {};
  let last = "";
  for (const line of paragraph.split("\n")) {
    const [, name, value] = /^([A-Za-z-]+):(.*)$/.exec(line) ?? [];
    if (name !== undefined) {
      last = name.toLowerCase();
      fields[last] = value!.trim();
    } else if (last !== "") fields[last] += `\n${line.trim()}`;
  }
  return fields;
}

function creditOf({ copyright, license, comment }: Record<string, string | undefined>): Credit {
  const authors = copyright?.split("\n").map((line) => line.replace(/\s+/g, " ").trim()) ?? [];
  const others = authors.length - MOST_AUTHORS;
  const author = authors.slice(0, MOST_AUTHORS).join("; ") + (others > 0 ? ` and ${others} others` : "");
  const licence = license?.split("\n", 1).join("").trim();
  const url = comment?.match(/https?:\/\/\S+/)?.[0];
  return { ...(author && { author }), ...(licence && { licence }), ...(url && { url }) };
}

/** Pictures are sometimes converted after the copyright file was written, so their extensions do not count. */
const withoutExtension = (path: string) => path.replace(/\.(jpe?g|png|webp|svgz?)$/i, "");

function patternOf(pattern: string): RegExp {
  const escaped = withoutExtension(pattern).replace(/[.+^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`^${escaped.replaceAll("*", ".*").replaceAll("?", ".")}$`);
}
