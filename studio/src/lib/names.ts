/** @file Identifiers as people read them. */

/** `lowLightEnhancement` → `Low light enhancement`, `heldOut.psnr.photos` → `Held out · PSNR · photos`. */
export function titleOf(identifier: string): string {
  const words = identifier
    .replaceAll(/([a-z])([A-Z])/g, (_, end: string, start: string) => `${end} ${start.toLowerCase()}`)
    .replaceAll(".", " · ")
    .replaceAll(/\b(nll|psnr|ssim)\b/g, (name) => name.toUpperCase());
  return words.charAt(0).toUpperCase() + words.slice(1);
}
