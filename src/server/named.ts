/** @file What requests name: the model, and the libraries of the server. */
import type { ExampleLibrary } from "../retrieval/index.ts";
import { Failure } from "./failure.ts";
import type { Services } from "./services.ts";

const shown = (name: string): string => JSON.stringify(name.slice(0, 60));

/** @throws Failure 404 for another model than the loaded one */
export function checkModel(name: string, param: string, { model }: Services): void {
  if (name === model) return;
  throw new Failure(404, `choosing a model: expected ${model}, got ${shown(name)}`, {
    param,
    code: "model_not_found",
  });
}

/**
 * The name of a request's library.
 * @param given true for the first one of the server
 * @throws Failure 404 for one that the server does not have
 */
export function libraryNamed(
  given: boolean | string | undefined,
  { libraries }: Services,
): string | undefined {
  if (given === undefined || given === false) return undefined;
  const name = given === true ? [...libraries.keys()][0] : given;
  if (name !== undefined && libraries.has(name)) return name;
  const known = [...libraries.keys()].join(", ") || "none";
  throw new Failure(
    404,
    `looking for a library: expected one of the server's (${known}), got ${shown(String(given))}`,
    { param: "library", code: "library_not_found" },
  );
}

/** The library itself. @throws Failure as `libraryNamed` */
export const libraryOf = (given: true | string, services: Services): ExampleLibrary =>
  services.libraries.get(libraryNamed(given, services)!)!;
