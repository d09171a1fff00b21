/** What a caller of AWS signs with. */
export interface AwsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** With credentials that pass. */
  readonly sessionToken?: string | undefined;
}

/** One call, its body of a form. */
export interface AwsCall {
  readonly url: URL;
  readonly body: string;
  readonly service: string;
  readonly region: string;
}

const ALGORITHM = "AWS4-HMAC-SHA256";

/**
 * Signs a POST of a form to the root of an AWS service, by Signature Version 4 (AWS's "Create a signed AWS API request").
 *
 * @param now milliseconds since 1970; AWS admits 5 min of difference
 * @returns the fields of the request
 */
export async function signAwsCall(
  { url, body, service, region }: AwsCall,
  { accessKeyId, secretAccessKey, sessionToken }: AwsCredentials,
  now: number,
): Promise<Record<string, string>> {
  const stamp = new Date(now).toISOString().replaceAll(/[-:]|\.\d{3}/g, "");
  const day = stamp.slice(0, 8);
  const signed: Record<string, string> = {
    "content-type": "application/x-www-form-urlencoded",
    host: url.host,
    "x-amz-date": stamp,
    ...(sessionToken !== undefined && { "x-amz-security-token": sessionToken }),
  };
  // They stand in the order of their names.
  const names = Object.keys(signed).join(";");
  const lines = Object.entries(signed).map(([name, value]) => `${name}:${value}\n`);
  const request = ["POST", "/", "", lines.join(""), names, await sha256(body)].join("\n");
  const scope = `${day}/${region}/${service}/aws4_request`;
  let key = new TextEncoder().encode(`AWS4${secretAccessKey}`);
  for (const part of scope.split("/")) key = await hmac(key, part);
  const signature = hex(await hmac(key, [ALGORITHM, stamp, scope, await sha256(request)].join("\n")));
  const { host: _, ...fields } = signed;
  return {
    ...fields,
    authorization: `${ALGORITHM} Credential=${accessKeyId}/${scope}, SignedHeaders=${names}, Signature=${signature}`,
  };
}

async function sha256(text: string): Promise<string> {
  return hex(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text))));
}

async function hmac(key: Uint8Array<ArrayBuffer>, text: string): Promise<Uint8Array<ArrayBuffer>> {
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const imported = await crypto.subtle.importKey("raw", key, algorithm, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", imported, new TextEncoder().encode(text)));
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
