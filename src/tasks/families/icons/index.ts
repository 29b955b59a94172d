/**
 * @file Families of icons. What is drawn anew for each pair are the icon, its place and the background; what is done to
 * it is the task.
 */
import type { Gathered } from "../../gathered/index.ts";
import { ofWorld, type TaskFamily } from "../../task.ts";
import { iconLookFamilies } from "./looks.ts";
import { iconPlaceFamilies } from "./places.ts";
import { IconSource } from "./source.ts";
import { iconStyleFamilies } from "./styles.ts";

export function iconFamilies(gathered: Gathered): readonly TaskFamily[] {
  const source = new IconSource(gathered);
  return ofWorld("icons", [
    ...iconStyleFamilies(source),
    ...iconLookFamilies(source),
    ...iconPlaceFamilies(source),
  ]);
}
