/**
 * @file The public sets of the paper, each in the layout of its download. To add a set, give the files that identify
 * it, its layout or columns, and the description of its change. Pages and layouts: docs/datasets.md.
 */
import type { SetWords } from "./columns.ts";
import { pictureFile } from "./files.ts";
import { type Layout, twoFolders } from "./folder.ts";
import type { Render } from "./render.ts";
import type { Columns, PublicSetName } from "./settings.ts";

interface CommonSet {
  readonly words: Omit<SetWords, "source">;
  readonly columns?: Columns;
  readonly render?: Render;
}

/** A set of picture files. */
export interface FolderSet extends CommonSet {
  readonly kind: "folder";
  readonly layouts: readonly Layout[];
  /** Matches file names (prefixed by the folder's own) of this set, and of no other set. */
  readonly telltale: RegExp;
}

/** A set of Parquet shards, identified by the presence of all these columns. */
export interface ParquetSet extends CommonSet {
  readonly kind: "parquet";
  readonly columns: Columns;
  readonly telltale: readonly string[];
}

export type PublicSet = FolderSet | ParquetSet;

const named = (pattern: string): RegExp =>
  new RegExp(`^(?<folder>(?:[^/]+/)*?)${pattern}${pictureFile}`, "i");

export const publicSetTable: Readonly<Record<PublicSetName, PublicSet>> = {
  /** data/train-00000-of-00051.parquet, data/dev-….parquet; several editing turns per picture (`img_id`). */
  magicbrush: {
    kind: "parquet",
    telltale: ["img_id", "turn_index", "source_img", "target_img", "instruction"],
    columns: { group: "img_id", input: "source_img", output: "target_img", instruction: "instruction" },
    words: { subtask: "editing", licence: "CC-BY-4.0" },
  },
  /** data/FreeForm_0-….parquet, data/RegionBase-….parquet. */
  ultraedit: {
    kind: "parquet",
    telltale: ["source_image", "edited_image", "edit_prompt"],
    columns: { input: "source_image", output: "edited_image", instruction: "edit_prompt" },
    words: { subtask: "editing", licence: "CC-BY-4.0" },
  },
  /** our485/ and eval15/ with low/1.png, high/1.png; version 2 has Train/Low/low00001.png, Normal/normal00001.png. */
  lol: {
    kind: "folder",
    telltale: /(?:^|\/)(?:our485|eval15|LOL[^/]*)\//i,
    layouts: [
      {
        input: named("low/(?:low)?(?<name>[^/]+)"),
        output: named("(?:high|normal)/(?:normal)?(?<name>[^/]+)"),
      },
    ],
    words: {
      instruction: "light it up as by day",
      difference: "the output image is bright while the input image is taken in very low light",
      reverseInstruction: "darken it as if there were little light",
      subtask: "low-light enhancement",
    },
  },
  /**
   * Rain13K: train/input, train/target, test/Rain100H/input, …; RainTrainH and Rain100H: rainy/rain-001.png and
   * norain-001.png; RainTrainL: both in one folder; Rain200: rain/X2/norain-1x2.png, norain/norain-1.png;
   * Rain12600: rainy_image/1_14.jpg, ground_truth/1.jpg.
   */
  rain: {
    kind: "folder",
    telltale: /(?:^|\/)(?:norain|rainy_image|Rain(?:Train|\d))/i,
    layouts: [
      twoFolders("input", "target"),
      {
        input: named("rain/(?:X2/)?(?:no)?rain-(?<name>\\d+)(?:x2)?"),
        output: named("norain/norain-(?<name>\\d+)"),
      },
      { input: named("(?:rainy/)?rain-(?<name>\\d+)"), output: named("norain-(?<name>\\d+)") },
      { input: named("rainy_image/(?<name>\\d+)_\\d+"), output: named("ground_truth/(?<name>\\d+)") },
    ],
    words: {
      instruction: "remove the rain",
      difference: "the rain of the input image is gone",
      reverseInstruction: "make it rain",
      subtask: "derain",
    },
  },
  /** train/GOPR0372_07_00/blur/000047.png and sharp/000047.png; frames of one video stay together. */
  gopro: {
    kind: "folder",
    telltale: /(?:^|\/)GOPRO?[^/]*\//i,
    layouts: [twoFolders("blur", "sharp")],
    columns: { group: "folder" },
    words: {
      instruction: "make it sharp",
      difference: "the output image is sharp while the input image is blurred by motion",
      reverseInstruction: "blur it as if the camera moved",
      subtask: "deblur",
    },
  },
  /** input/a0001-….jpg and expertC/a0001-….tif (or tiff16_c/). */
  fivek: {
    kind: "folder",
    telltale: /(?:^|\/)(?:expert[-_ ]?c|tiff16_c)\//i,
    layouts: [twoFolders("input|original|raw|low", "expert[-_ ]?c|tiff16_c|high")],
    words: {
      instruction: "retouch it as a photographer would",
      difference: "the output image is retouched in exposure and colour",
      reverseInstruction: "undo the retouching",
      subtask: "enhancement",
    },
  },
  /**
   * rgb/0001.png and depth/0001.png; kitchen_0028b/rgb_00045.jpg and sync_depth_00045.png (16 bits, millimetres);
   * nyu2_test/00000_colors.png and 00000_depth.png; nyu2_train/kitchen_out/1.jpg and 1.png (8 bits, 255 is 10 m).
   */
  nyuv2: {
    kind: "folder",
    telltale: /(?:^|\/)(?:nyu[^/]*\/|sync_depth_)/i,
    layouts: [
      { input: named("rgb_(?<name>\\d+)"), output: named("sync_depth_(?<name>\\d+)"), byScene: true },
      { input: named("(?<name>\\d+)_colors"), output: named("(?<name>\\d+)_depth") },
      {
        input: /^(?<folder>(?:[^/]+\/)*nyu2_train\/[^/]+\/)(?<name>\d+)\.jpg$/i,
        output: /^(?<folder>(?:[^/]+\/)*nyu2_train\/[^/]+\/)(?<name>\d+)\.png$/i,
        byScene: true,
      },
      twoFolders("rgb|images?|colors?", "depths?"),
    ],
    render: { kind: "depth", metres: { 8: 10 / 255, 16: 0.001 }, near: 0.7, far: 10 },
    words: {
      instruction: "turn the picture into its depth map",
      difference: "the output image is the depth map of the input image",
      reverseInstruction: "make a picture from the depth map",
      subtask: "depth",
    },
  },
  /** ADEChallengeData2016/images/training/ADE_train_00000001.jpg, annotations/training/….png: 0 other, 1 to 150. */
  ade20k: {
    kind: "folder",
    telltale: /(?:^|\/)(?:ADEChallengeData2016\/|annotations\/(?:[^/]+\/)?ADE_)/,
    layouts: [twoFolders("images", "annotations")],
    render: { kind: "labels", count: 151 },
    words: {
      instruction: "turn the picture into its segmentation map",
      difference: "the output image is the segmentation map of the input image",
      reverseInstruction: "make a picture from the segmentation map",
      subtask: "segmentation",
    },
  },
};
