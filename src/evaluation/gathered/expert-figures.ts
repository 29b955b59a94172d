/** @file Written by `npm run maxim`: PSNR in dB by change, one value per query. */
export const stored: {
  readonly digest: string;
  readonly size: number;
  readonly seed: number;
  readonly psnr: Readonly<Record<string, readonly number[]>>;
} = { digest: "", size: 256, seed: 2026, psnr: {} };
