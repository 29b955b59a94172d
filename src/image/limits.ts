/** @file Limits of pictures from outside. */

/** The most pixels to decode: a small file can claim billions. */
export const maxPixels = 64_000_000;
