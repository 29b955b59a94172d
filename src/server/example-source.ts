/** @file A library of the server as the source of examples for generating. */
import { type ExampleLibrary, Retriever } from "../retrieval/index.ts";
import type { ExampleSource } from "../xprompt/example-source.ts";
import { ofServer } from "./failure.ts";

/** The same for all requests: it keeps what it learned about its library. */
export function exampleSourceOf(library: ExampleLibrary): ExampleSource {
  const retriever = new Retriever(library);
  return { retrieve: (model, request) => ofServer(retriever.retrieve(model, request)) };
}
