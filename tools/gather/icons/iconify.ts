/** @file Icon sets of Iconify: SVG bodies in one `icons.json`. */
import { z } from "zod";
import { XPromptError } from "../../../src/errors.ts";
import type { Download } from "../download.ts";
import { packageFile } from "../package-files.ts";

const set = z.object({
  width: z.number().default(16),
  height: z.number().default(16),
  left: z.number().default(0),
  top: z.number().default(0),
  icons: z.record(
    z.string(),
    z.object({
      body: z.string(),
      width: z.number().optional(),
      height: z.number().optional(),
      left: z.number().optional(),
      top: z.number().optional(),
      hidden: z.boolean().optional(),
    }),
  ),
});

/** The set's icons as SVG text, by name; icons that the set no longer shows are left out. */
export async function readIconify(download: Download): Promise<Map<string, string>> {
  const parsed = set.safeParse(JSON.parse((await packageFile(download, "icons.json")).toString("utf8")));
  if (!parsed.success) {
    throw new XPromptError(
      `reading icons of ${download.package}: expected an Iconify set, got ${parsed.error.issues[0]!.message} (leave it out with --only)`,
    );
  }
  const { icons, ...canvas } = parsed.data;
  return new Map(
    Object.entries(icons)
      .filter(([, { hidden }]) => !hidden)
      .map(([name, { body, ...own }]) => {
        const { left, top, width, height } = { ...canvas, ...defined(own) };
        return [name, `<svg viewBox="${left} ${top} ${width} ${height}">${body}</svg>`];
      }),
  );
}

const defined = (own: Readonly<Record<string, unknown>>) =>
  Object.fromEntries(Object.entries(own).filter(([, value]) => value !== undefined));
