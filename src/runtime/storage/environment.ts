/** @file Where object storage is, and with which credentials, by the usual variables of the environment. */

/** Set variables of the environment, empty ones left out. */
const setting = (...names: readonly string[]): string | undefined =>
  names.map((name) => process.env[name]).find((value) => value !== undefined && value !== "");

/** Address of an S3-compatible server; Amazon's own without. */
export const endpointOf = (): string | undefined =>
  setting("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT");

export const regionOf = (): string => setting("AWS_REGION", "AWS_DEFAULT_REGION") ?? "us-east-1";

/**
 * Options of LanceDB for S3: those of the environment, replaced by given ones. LanceDB knows several names for one option
 * and takes any of them if more than one is there, so each is given once, by the name that LanceDB itself uses.
 * Amazon's other sources of credentials are LanceDB's own business.
 */
export function lanceStorageOptions(given: Readonly<Record<string, string>> = {}): Record<string, string> {
  const endpoint = endpointOf();
  const options = {
    aws_region: regionOf(),
    aws_endpoint: endpoint,
    // Only Amazon has a host name per bucket.
    aws_virtual_hosted_style_request: endpoint && "false",
    allow_http: endpoint?.startsWith("http:") ? "true" : undefined,
    aws_access_key_id: setting("AWS_ACCESS_KEY_ID"),
    aws_secret_access_key: setting("AWS_SECRET_ACCESS_KEY"),
    aws_session_token: setting("AWS_SESSION_TOKEN"),
    ...Object.fromEntries(Object.entries(given).map(([name, value]) => [lanceNameOf(name), value])),
  };
  return Object.fromEntries(
    Object.entries(options).filter(
      (entry): entry is [string, string] => entry[1] !== undefined && entry[1] !== "",
    ),
  );
}

/** Names of options that LanceDB takes for another one. */
const lanceNames: Readonly<Record<string, string>> = {
  region: "aws_region",
  endpoint: "aws_endpoint",
  endpoint_url: "aws_endpoint",
  aws_endpoint_url: "aws_endpoint",
  virtual_hosted_style_request: "aws_virtual_hosted_style_request",
  access_key_id: "aws_access_key_id",
  secret_access_key: "aws_secret_access_key",
  session_token: "aws_session_token",
  token: "aws_session_token",
  aws_token: "aws_session_token",
};

const lanceNameOf = (name: string): string => lanceNames[name.toLowerCase()] ?? name.toLowerCase();

/** A text without the credentials of the environment, wherever it came from. */
export function withoutCredentials(text: string): string {
  const secrets = ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID"].flatMap(
    (name) => setting(name) ?? [],
  );
  return secrets.reduce((shown, secret) => shown.replaceAll(secret, "…"), text);
}
