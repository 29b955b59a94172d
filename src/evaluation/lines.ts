/** @file Formats figures for terminals and captions. */
import type { Estimate } from "./metrics/bootstrap.ts";

const dash = "–";

/** A mean with its interval: `20.6 (19.9 to 21.3)`. */
export const withInterval = (estimate: Estimate | undefined, decimals: number): string =>
  estimate
    ? `${estimate.mean.toFixed(decimals)} (${estimate.ci.map((end) => end.toFixed(decimals)).join(" to ")})`
    : dash;

/** A mean without its interval. */
export const plain = (value: number | undefined, decimals: number): string =>
  value?.toFixed(decimals) ?? dash;

/** A share with its interval, in percent: `61% (53 to 69)`. */
export const percent = (share: Estimate | undefined): string =>
  share ? `${toPercent(share.mean)}% (${share.ci.map(toPercent).join(" to ")})` : dash;

const toPercent = (share: number): string => (100 * share).toFixed(0);
