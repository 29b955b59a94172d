/** @file The worker thread of a conversion: receives parts of tensors and returns them converted. */
import { answerJobs } from "../../runtime/thread-jobs.ts";
import { convertPart } from "./part.ts";

answerJobs(convertPart, (parts) => parts.map(({ buffer }) => buffer));
