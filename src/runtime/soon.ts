/** @file Work after what is waiting. `soon.browser.ts` stands in for this module in browsers. */

/** Calls back after the events that are waiting now. */
export const soon: (callback: () => void) => void = setImmediate;
