/** @file Written by `npm run maxim`: PSNR in dB by change, one value per query. */
export const stored: {
  readonly digest: string;
  readonly size: number;
  readonly seed: number;
  readonly psnr: Readonly<Record<string, readonly number[]>>;
} = {
  digest: "6f0460751ace1385debe2957e33692d59d50f198a1410bde1334b99f7a792c07",
  size: 256,
  seed: 2026,
  psnr: {
    derain: [19.531, 17.194, 22.632, 16.183, 18.505, 20.034, 19.737, 17.285],
    denoise: [29.403, 24.808, 30.218, 25.334, 24.388, 25.728, 27.005, 26.041],
    deblur: [23.404, 22.001, 25.288, 22.499, 21.585, 21.421, 21.626, 20.474],
    dehaze: [23.882, 23.51, 24.911, 26.974, 23.507, 21.952, 19.633, 25.878],
    brighten: [22.224, 17.396, 10.38, 16.312, 15.114, 8.227, 11.551, 22.36],
  },
};
