/** @file What the page and the worker with the model tell each other. */
import type { Example, GenerateEvent, GenerateRequest, Part } from "../backend.ts";

/** What can be asked, and the last thing that is answered. */
export interface Calls {
  load: { asked: Addresses; answer: undefined };
  generate: { asked: GenerateRequest; answer: undefined };
  describe: { asked: Example; answer: string };
  compile: { asked: readonly Example[]; answer: Blob };
  inspect: { asked: Blob; answer: number };
}

export interface Addresses {
  /** Folder of the model's files. */
  readonly model: string;
  /** Folder of onnxruntime's files. */
  readonly runtime: string;
}

export type Name = keyof Calls;

/** To the worker. */
export type Question =
  | { [N in Name]: { readonly id: number; readonly name: N; readonly asked: Calls[N]["asked"] } }[Name]
  | { readonly id: number; readonly name: "stop" };

/** From the worker: events, then an answer or a failure. */
export type Reply =
  | { readonly id: number; readonly event: GenerateEvent }
  | { readonly id: number; readonly answer: Calls[Name]["answer"] }
  | { readonly id: number; readonly failure: { readonly message: string; readonly part: Part } };
