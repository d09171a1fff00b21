import { problemResponse, type RelayError } from "../../../protocol/errors.ts";

/** An answer that a proxy makes itself. */
export interface ProxyAnswer {
  readonly status: number;
  readonly reason: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** One line. */
  readonly body: string;
}

/** How an HTTP proxy tells that it could not do what it was asked for. */
export function failureAnswer(error: RelayError): ProxyAnswer {
  const { headers } = problemResponse(error);
  const status = proxyStatus(error.status);
  const told = headers.filter(([name]) => /^(relay-|proxy-status|retry-after|cache-control)/i.test(name));
  return answer(status, `${error.code}: ${error.detail.replaceAll(/[^\x20-\x7e]+/g, " ")}`, told);
}

/** An answer of one line, after which the connection is closed. */
export function answer(status: number, text: string, headers: ProxyAnswer["headers"] = []): ProxyAnswer {
  const body = `holdfast: ${text}\n`;
  return {
    status,
    reason: REASONS[status] ?? "Failed",
    headers: [
      ...headers,
      ["Content-Type", "text/plain; charset=utf-8"],
      ["Content-Length", String(Buffer.byteLength(body))],
      ["Connection", "close"],
    ],
    body,
  };
}

/** The answer's bytes, for a connection that is no exchange of requests any more. */
export function answerBytes({ status, reason, headers, body }: ProxyAnswer): string {
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} ${reason}\r\n${lines.join("")}\r\n${body}`;
}

const REASONS: Readonly<Record<number, string>> = {
  400: "Bad Request",
  403: "Forbidden",
  407: "Proxy Authentication Required",
  408: "Request Timeout",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
};

/** A program would take a 401 or 429 for the target's own word: what is between the agent and the relay is no gateway's success. */
function proxyStatus(status: number): number {
  if (status === 400 || status === 403 || status === 503 || status === 504) return status;
  return status === 429 ? 503 : 502;
}
