/** @file All operations of the server. */
import type { Operation } from "./operation.ts";
import * as gallery from "./routes/gallery.ts";
import { edits, generations, getModel, listModels } from "./routes/images.ts";
import * as jobs from "./routes/jobs.ts";
import * as libraries from "./routes/libraries.ts";
import * as operating from "./routes/operating.ts";
import * as prompts from "./routes/prompts.ts";
import * as runs from "./routes/runs.ts";

export const operations: readonly Operation[] = [
  ...[generations, edits, listModels, getModel],
  ...[
    prompts.compile,
    prompts.list,
    prompts.upload,
    prompts.get,
    prompts.download,
    prompts.remove,
    prompts.describe,
  ],
  ...[jobs.submit, jobs.list, jobs.get, jobs.cancel, jobs.remove],
  ...[gallery.list, gallery.picture],
  ...[libraries.search, libraries.picture],
  ...[runs.list, runs.get, runs.metrics, runs.sheet],
  ...[operating.healthz, operating.readyz, operating.metrics],
];
