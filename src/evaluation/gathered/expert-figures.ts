/** @file Written by `npm run maxim`: PSNR in dB by change, one value per query. */
export const stored: {
  readonly digest: string;
  readonly photographs: readonly string[];
  readonly size: number;
  readonly seed: number;
  readonly psnr: Readonly<Record<string, readonly number[]>>;
} = {
  digest: "6e0b1cbd3630db7e6cf72b64b1f3f8007bcdc9948ab7798b99aee2d88053cad7",
  photographs: [
    "opencv/data/squirrel_cls",
    "opencv/dnn_superres/butterfly",
    "opencv/text/scenetext02",
    "opencv/data/butterfly",
  ],
  size: 256,
  seed: 2026,
  psnr: {
    derain: [18.674, 17.444, 15.027, 15.791],
    denoise: [27.685, 25.021, 28.351, 23.361],
    deblur: [21.024, 19.3, 19.849, 17.115],
    dehaze: [24.302, 26.499, 14.396, 20.323],
    brighten: [19.436, 20.9, 20.213, 16.178],
  },
};
