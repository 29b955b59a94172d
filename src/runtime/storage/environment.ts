/** @file Where object storage is, and with which credentials, by the usual variables of the environment. */

/** Set variables of the environment, empty ones left out. */
const setting = (...names: readonly string[]): string | undefined =>
  names.map((name) => process.env[name]).find((value) => value !== undefined && value !== "");

/** Address of an S3-compatible server; Amazon's own without. */
export const endpointOf = (): string | undefined =>
  setting("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT");

export const regionOf = (): string => setting("AWS_REGION", "AWS_DEFAULT_REGION") ?? "us-east-1";

/** The same for LanceDB, in the names of its storage options. Amazon's other sources of credentials are its own business. */
export function lanceStorageOptions(): Record<string, string> {
  const endpoint = endpointOf();
  const options = {
    region: regionOf(),
    endpoint,
    // Only Amazon has a host name per bucket.
    virtual_hosted_style_request: endpoint && "false",
    allow_http: endpoint?.startsWith("http:") ? "true" : undefined,
    aws_access_key_id: setting("AWS_ACCESS_KEY_ID"),
    aws_secret_access_key: setting("AWS_SECRET_ACCESS_KEY"),
    aws_session_token: setting("AWS_SESSION_TOKEN"),
  };
  return Object.fromEntries(
    Object.entries(options).filter(
      (entry): entry is [string, string] => entry[1] !== undefined && entry[1] !== "",
    ),
  );
}

/** A text without the credentials of the environment, wherever it came from. */
export function withoutCredentials(text: string): string {
  const secrets = ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID"].flatMap(
    (name) => setting(name) ?? [],
  );
  return secrets.reduce((shown, secret) => shown.replaceAll(secret, "…"), text);
}
