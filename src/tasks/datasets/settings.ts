/** @file The settings of a data set: location, column meanings, and the part to read. */
import { z } from "zod";

/** Formats that are not of one public set. */
const containers = ["folder", "imagefolder", "parquet", "webdataset"] as const;
/** Public sets, each in the layout of its download. */
export const publicSets = [
  "magicbrush",
  "ultraedit",
  "lol",
  "rain",
  "gopro",
  "fivek",
  "nyuv2",
  "ade20k",
] as const;
export type PublicSetName = (typeof publicSets)[number];

const column = z.string().min(1).optional();

export const pairsSettings = z.strictObject({
  /** The format of the records; `auto` detects it. */
  format: z.enum(["auto", ...containers, ...publicSets]).default("auto"),
  /** A folder, a file, or a pattern of files: `*`, `**`, `?`, `{a,b}`, `{000..041}`. */
  path: z.string().min(1),
  /** The columns of each role. Common names are found without this. */
  columns: z
    .strictObject({
      id: column,
      /**
       * Records with the same value here stay on one side of the held-out split. Defaults to the id; rows of a list that
       * share a picture stay together.
       */
      group: column,
      /** Records with the same value here show the same change. Without it, the whole set is one task. */
      task: column,
      input: column,
      output: column,
      instruction: column,
      difference: column,
      reverseInstruction: column,
      subtask: column,
      licence: column,
    })
    .prefault({}),
  /** Which of the set's own splits; `all` for everything. Defaults to `train` if the files' names state splits. */
  split: z.string().min(1).optional(),
  /** File of captions, as `xprompt caption` writes it. Captions fill in the texts that a record lacks. */
  captions: z.string().min(1).optional(),
  /** The instruction of records that have none. */
  instruction: z.string().min(1).optional(),
  /** Seed of the record order. */
  seed: z.int().min(0).default(0),
  /** Share of the records (by a hash of their group) that is held out of training; at least two of one task. */
  heldOut: z.number().min(0).max(0.9).default(0),
  /** The side of that split to read. */
  part: z.enum(["train", "heldOut"]).default("train"),
  /** Colours of depth and label maps: fixed, or random per context, so that only the example shows them. */
  colors: z.enum(["fixed", "drawn"]).default("fixed"),
  /** MiB of records held for shuffling; a single row group may take more. */
  memory: z.number().positive().default(256),
});

/** As written by a user. */
export type PairsSettings = z.input<typeof pairsSettings>;
/** With defaults. */
export type PairsConfig = z.output<typeof pairsSettings>;
export type Columns = PairsConfig["columns"];
export type Role = keyof Columns;
