/** @file All sets, in the order in which they are gathered. */
import { tuxpaint } from "./cutouts/tuxpaint.ts";
import type { GatherSet } from "./found.ts";
import { emojiSets } from "./icons/emoji.ts";
import { weightSets } from "./icons/weights.ts";
import { photoSets } from "./photos/index.ts";

export const sets: readonly GatherSet[] = [...photoSets, tuxpaint, ...emojiSets, ...weightSets];
