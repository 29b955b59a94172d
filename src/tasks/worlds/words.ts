/** @file Names of gathered pictures as words for models. */

/** Lower case ASCII letters and digits, with single spaces between words. */
export const plainWords = (text: string): string =>
  text
    .normalize("NFKD")
    .toLowerCase()
    .replace(/[\u0300-\u036f'’]/g, "")
    .replace(/[^a-z0-9]+/g, " ")
    .trim();
