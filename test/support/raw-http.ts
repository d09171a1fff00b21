import { once } from "node:events";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";

/** Where a raw request goes: plain, or over TLS trusting `ca` alone. */
export interface RawPeer {
  readonly port: number;
  readonly host?: string;
  readonly ca?: string;
}

/** An answer as it stood on the wire; a chunked body without its chunks' frames. */
export interface RawAnswer {
  readonly status: number;
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly body: string;
  /** The field's values joined by a comma; undefined where there is none. */
  field(name: string): string | undefined;
}

const PATIENCE_MS = 15_000;

/** An open connection whose errors show as its end. */
export async function openRaw({ port, host = "127.0.0.1", ca }: RawPeer): Promise<Socket> {
  const socket =
    ca === undefined ? connectTcp({ port, host }) : connectTls({ port, host, ca, servername: "localhost" });
  await once(socket, ca === undefined ? "connect" : "secureConnect");
  return socket.on("error", () => {});
}

/** A request's bytes, each field as it stands; Host and Connection are the caller's to write. */
export function rawRequest(line: string, fields: readonly string[] = [], body = ""): string {
  return `${line} HTTP/1.1\r\n${[...fields, "", ""].join("\r\n")}${body}`;
}

/** Whatever the peer says until it closes, or until it was silent for too long; a reset ends it like any close. */
export async function readRaw(
  socket: Socket,
  patienceMs = PATIENCE_MS,
  quietMs = patienceMs,
): Promise<string> {
  const chunks: Buffer[] = [];
  const timer = setTimeout(() => socket.destroy(), patienceMs);
  let quiet: NodeJS.Timeout | undefined;
  socket.on("data", (chunk: Buffer) => {
    chunks.push(chunk);
    clearTimeout(quiet);
    quiet = setTimeout(() => socket.destroy(), quietMs);
  });
  if (!socket.closed) await new Promise((closed) => socket.once("close", closed));
  clearTimeout(timer);
  clearTimeout(quiet);
  return Buffer.concat(chunks).toString("latin1");
}

/** Sends bytes and reads the first final answer; undefined where the peer closed without one. */
export async function sendRaw(
  peer: RawPeer,
  bytes: string,
  patienceMs = PATIENCE_MS,
): Promise<RawAnswer | undefined> {
  const socket = await openRaw(peer);
  const reading = readRaw(socket, patienceMs);
  socket.write(Buffer.from(bytes, "latin1"));
  return parseAnswers(await reading)[0];
}

/** All final answers in what a peer said, so that one request answered twice shows. */
export function parseAnswers(text: string): RawAnswer[] {
  const answers: RawAnswer[] = [];
  let rest = text;
  while (/^HTTP\/1\.[01] \d{3}/.test(rest)) {
    const end = rest.indexOf("\r\n\r\n");
    if (end === -1) break;
    const [line = "", ...lines] = rest.slice(0, end).split("\r\n");
    const status = Number(line.slice(9, 12));
    rest = rest.slice(end + 4);
    const fields = lines.map((one): [string, string] => [
      one.slice(0, one.indexOf(":")),
      one.slice(one.indexOf(":") + 1).trim(),
    ]);
    const field = (name: string) => {
      const values = fields
        .filter(([other]) => other.toLowerCase() === name.toLowerCase())
        .map(([, value]) => value);
      return values.length === 0 ? undefined : values.join(", ");
    };
    const { body, after } = takeBody(rest, field);
    rest = after;
    if (status >= 200) answers.push({ status, fields, body, field });
  }
  return answers;
}

function takeBody(text: string, field: RawAnswer["field"]): { body: string; after: string } {
  const length = field("content-length");
  if (length !== undefined) return { body: text.slice(0, Number(length)), after: text.slice(Number(length)) };
  if (field("transfer-encoding") !== "chunked") return { body: text, after: "" };
  let body = "";
  let rest = text;
  for (;;) {
    const size = Number.parseInt(rest, 16);
    const start = rest.indexOf("\r\n") + 2;
    if (!(size > 0) || start === 1) return { body, after: rest.slice(start + 2) };
    body += rest.slice(start, start + size);
    rest = rest.slice(start + size + 2);
  }
}
