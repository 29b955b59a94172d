/** @file Contact sheets of examples. */
import { contactSheet, type Image, loadImage } from "../image/index.ts";
import type { StoredExample } from "./example.ts";

/** Edge of a picture on a sheet, in pixels. */
const EDGE = 192;

/** A contact sheet with one example per row, with its distance in a search, and the query's picture above. */
export async function exampleSheet(
  examples: readonly (StoredExample & { readonly distance?: number })[],
  query: { readonly instruction?: string; readonly input?: string } = {},
): Promise<Image> {
  const shown = (picture: Uint8Array | string) => loadImage(picture, { size: EDGE });
  const rows = await Promise.all(
    examples.map(async ({ id, instruction, input, output, distance }) => ({
      label: distance === undefined ? id.slice(0, 12) : `${id.slice(0, 12)} distance ${distance.toFixed(3)}`,
      cells: [{ image: await shown(input), caption: instruction }, { image: await shown(output) }],
    })),
  );
  const asked =
    query.input === undefined ? [] : [{ label: "query", cells: [{ image: await shown(query.input) }] }];
  return contactSheet([...asked, ...rows], { title: query.instruction, columnTitles: ["before", "after"] });
}
