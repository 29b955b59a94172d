/** @file All sets of photos. */
import { enlightenment } from "./enlightenment.ts";
import { gcompris } from "./gcompris.ts";
import { mate } from "./mate.ts";
import { opencv } from "./opencv.ts";
import { palapeli } from "./palapeli.ts";
import { plasma } from "./plasma.ts";

export const photoSets = [gcompris, enlightenment, plasma, mate, palapeli, opencv];
