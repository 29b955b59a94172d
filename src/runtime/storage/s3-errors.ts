/** @file What an error of object storage means to the user. */
import { firstLineOf, XPromptError } from "../../errors.ts";
import { endpointOf, regionOf, withoutCredentials } from "./environment.ts";

interface ServiceError {
  readonly name?: string;
  readonly code?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

/** Whether there is no object of that name. */
export const isMissing = (error: unknown): boolean =>
  ["NoSuchKey", "NotFound"].includes((error as ServiceError).name ?? "");

/** An XPromptError that says what to do; other errors of this project pass unchanged. */
export function storageError(doing: string, bucket: string, error: unknown): XPromptError {
  if (error instanceof XPromptError) return error;
  const reason = withoutCredentials(reasonOf(error as ServiceError, bucket) ?? `got: ${firstLineOf(error)}`);
  return new XPromptError(`${doing}: ${reason}`, { code: "ERR_FILE" });
}

function reasonOf({ name = "", code = "", $metadata }: ServiceError, bucket: string): string | undefined {
  const where = endpointOf() ?? "Amazon S3";
  const status = $metadata?.httpStatusCode;
  if (name === "NoSuchBucket")
    return `expected the bucket ${bucket} at ${where}, got none of that name (make it, or correct the URL or AWS_ENDPOINT_URL)`;
  if (isMissing({ name })) return "expected it to exist, got no such object (check the URL)";
  if (["CredentialsProviderError", "CredentialsError"].includes(name))
    return "expected credentials, got none (set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)";
  if (["InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"].includes(name))
    return `expected credentials that ${where} knows, got: ${name} (correct AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN)`;
  if (["PermanentRedirect", "AuthorizationHeaderMalformed"].includes(name))
    return `expected the region of the bucket ${bucket}, got ${regionOf()} (set AWS_REGION)`;
  if (name === "AccessDenied" || status === 403)
    return `expected to be allowed, got: access to the bucket ${bucket} is denied (use other credentials, or change the bucket's policy)`;
  if (
    ["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "ECONNRESET", "ETIMEDOUT"].includes(code) ||
    name === "TimeoutError"
  )
    return `expected to reach ${where}, got: ${code || name} (check the network and AWS_ENDPOINT_URL)`;
  return status === undefined
    ? undefined
    : `expected an answer of ${where}, got: ${name}, status ${status} (try again)`;
}
