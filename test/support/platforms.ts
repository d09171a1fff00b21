import { createHash, createHmac } from "node:crypto";
import http, { type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A request to an endpoint of a platform's. */
export interface PlatformRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

/** What the next answer is in place of the good one. */
export type PlatformFault = (response: ServerResponse) => void;

/** An endpoint of a platform's on this machine. */
export interface PlatformServer {
  /** `http://127.0.0.1:port`, or the socket's path. */
  readonly at: string;
  readonly seen: PlatformRequest[];
  fault: PlatformFault | undefined;
  readonly close: () => Promise<void>;
}

/** Answers a good request; undefined for what the platform does not have. */
type Answer = (request: PlatformRequest, response: ServerResponse) => void;

/** @param socketPath in place of a port */
export async function startPlatform(answer: Answer, socketPath?: string): Promise<PlatformServer> {
  const server = http.createServer((request, response) => {
    void readAll(request).then((body) => {
      const { method = "", url = "", headers } = request;
      const one = { method, url, headers, body };
      platform.seen.push(one);
      if (platform.fault === undefined) answer(one, response);
      else platform.fault(response);
    });
  });
  await new Promise<void>((resolve) => {
    if (socketPath === undefined) server.listen(0, "127.0.0.1", resolve);
    else server.listen(socketPath, resolve);
  });
  const platform: PlatformServer = {
    at: socketPath ?? `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen: [],
    fault: undefined,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return platform;
}

async function readAll(request: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of request) text += String(chunk);
  return text;
}

/** The secret key of an access key's id, as AWS would look it up. */
export interface AwsAccount {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
}

/**
 * Why AWS would refuse a signature, computed from the request as it came (AWS's "Create a signed AWS API request"); undefined
 * where it is right.
 */
export function signatureFault(
  { method, url, headers, body }: PlatformRequest,
  { accessKeyId, secretAccessKey, sessionToken }: AwsAccount,
  now: number,
): string | undefined {
  const pattern =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/([^/]+)\/aws4_request, SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$/;
  const [, id, day, region, service, names, signature] = pattern.exec(headers.authorization ?? "") ?? [];
  if (signature === undefined) return "IncompleteSignature";
  if (id !== accessKeyId) return "InvalidClientTokenId";
  if (headers["x-amz-security-token"] !== sessionToken) return "InvalidClientTokenId";
  const stamp = String(headers["x-amz-date"]);
  const [, year, month, date, hour, minute, second] =
    /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(stamp) ?? [];
  const at = Date.parse(`${year}-${month}-${date}T${hour}:${minute}:${second}Z`);
  if (!(Math.abs(at - now) < 300_000) || !stamp.startsWith(day!)) return "SignatureDoesNotMatch: time";
  const list = names!.split(";");
  if (list.join() !== [...list].toSorted().join() || !list.includes("host")) {
    return "SignatureDoesNotMatch: fields";
  }
  const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");
  const hmac = (key: string | Buffer, text: string) => createHmac("sha256", key).update(text).digest();
  const { pathname, searchParams } = new URL(url, "http://any");
  const lines = list.map((name) => `${name}:${String(headers[name]).trim()}\n`).join("");
  const canonical = [method, pathname, searchParams.toString(), lines, names, sha256(body)].join("\n");
  const scope = [day, region, service, "aws4_request"].join("/");
  const toSign = ["AWS4-HMAC-SHA256", stamp, scope, sha256(canonical)].join("\n");
  const key = [day!, region!, service!, "aws4_request"].reduce<string | Buffer>(
    hmac,
    `AWS4${secretAccessKey}`,
  );
  return hmac(key, toSign).toString("hex") === signature ? undefined : "SignatureDoesNotMatch";
}
