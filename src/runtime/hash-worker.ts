/** @file The worker thread of `sha256InThread`: receives the names of files, answers with their SHA-256. */
import { parentPort } from "node:worker_threads";
import { messageOf } from "../errors.ts";
import { sha256File } from "./files.ts";
import type { FileToHash, HashAnswer } from "./hash-thread.ts";

const port = parentPort!;
const answerTo = ({ path, what }: FileToHash): Promise<HashAnswer> =>
  sha256File(path, what).then(
    (sha256) => ({ sha256 }),
    (error) => ({ refused: messageOf(error) }),
  );
port.on("message", async (file: FileToHash) => port.postMessage(await answerTo(file)));
