/** @file Creates the options of a command from a schema of settings. */
import { type Command, Option } from "commander";
import { z } from "zod";
import { alternatives, defaultOf, descriptionOf } from "../schema-words.ts";
import { numberFor } from "./options.ts";

/**
 * Adds an option per setting of a schema: `topK` becomes `--top-k <n>`. Help, values and default come from the schema.
 * @param recommended settings whose default depends on the model
 */
export function withSettings(
  command: Command,
  schema: z.ZodObject,
  recommended: readonly string[] = [],
): Command {
  for (const [name, setting] of Object.entries(schema.shape))
    for (const option of optionsFor(name, setting as z.ZodType, recommended.includes(name)))
      command.addOption(option);
  return command;
}

const THE_MODELS = "The default depends on the model";

/** One option, or two for a switch that the model can turn on or off. */
function optionsFor(name: string, setting: z.ZodType, isRecommended: boolean): Option[] {
  if (!isRecommended || typeof defaultOf(setting) !== "boolean")
    return [optionFor(name, setting, isRecommended)];
  const flag = flagOf(name);
  return [
    new Option(`--${flag}`, `${descriptionOf(setting)}. ${THE_MODELS}`),
    new Option(`--no-${flag}`, `turn --${flag} off where it is the model's default`),
  ];
}

const flagOf = (name: string) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

function optionFor(name: string, setting: z.ZodType, isRecommended: boolean): Option {
  const flag = flagOf(name);
  const words = descriptionOf(setting) ?? "";
  const value = isRecommended ? undefined : defaultOf(setting);
  if (value === true) return new Option(`--no-${flag}`, `do not ${words}`);
  if (value === false) return new Option(`--${flag}`, words).default(false);
  const usual = isRecommended ? THE_MODELS : value !== undefined && `Defaults to ${value}`;
  const option = new Option(
    `--${flag} <${placeholder(name, setting)}>`,
    [words, usual].filter(Boolean).join(". "),
  ).default(value);
  const choices = alternatives(setting).flatMap(({ _zod: { def } }) =>
    def.type === "enum" ? Object.values(def.entries).map(String) : [],
  );
  return choices.length > 0
    ? option.choices(choices)
    : option.argParser(numberFor<unknown>(`--${flag}`, setting));
}

/** "n" for whole numbers, the name for choices, otherwise the initial of the last word: "p" for "topP". */
function placeholder(name: string, setting: z.ZodType): string {
  const { type, enum: choices } = z.toJSONSchema(setting, { io: "input", unrepresentable: "any" });
  if (type === "integer") return "n";
  return choices
    ? name
    : name
        .replace(/.*(?=[A-Z])/, "")
        .charAt(0)
        .toLowerCase();
}
