/** @file Which errors are the request's, which are the server's, and who gets their messages. */
import { expect, test } from "vitest";
import { type ErrorCode, XPromptError } from "../../src/errors.ts";
import { bodyOf, failureOf, isServerFault } from "../../src/server/failure.ts";

test.each<[ErrorCode, number]>([
  ["ERR_INPUT", 400],
  ["ERR_USAGE", 400],
  ["ERR_MISMATCH", 400],
  ["ERR_MEMORY", 503],
  ["ERR_QUEUE", 503],
])("%s is %i, with its message", (code, status) => {
  const error = new XPromptError("expected more", { code });
  const { message, about, ...failure } = failureOf(error);
  expect(failure.status).toBe(status);
  expect(message).toBe("expected more");
  expect(about.retryAfter).toBe(status === 503 ? 10 : undefined);
  expect(isServerFault(error)).toBe(status === 503);
});

test.each<ErrorCode>([
  "ERR_FILE",
  "ERR_LOCKED",
  "ERR_DEVICE",
  "ERR_PACKAGE",
  "ERR_RELEASED",
  "ERR_INTERRUPTED",
])("%s is 500, and its message is for the log", (code) => {
  const error = new XPromptError("writing /secret/place", { code });
  const failure = failureOf(error);
  expect(failure.status).toBe(500);
  expect(bodyOf(failure).error).toMatchObject({ type: "server_error" });
  expect(failure.message).not.toContain("secret");
  expect(isServerFault(error)).toBe(true);
});
