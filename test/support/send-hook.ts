import { openRaw, parseAnswers, type RawPeer, rawRequest, readRaw } from "./raw-http.ts";

/** As long as a body of 25 MB may take on a loaded machine. */
const PATIENCE_MS = 110_000;

/**
 * Calls a route with bytes as they are, in one piece or in chunks of some size, no faster than they are taken. Resolves with the
 * answer's status, or undefined where there was none.
 */
export async function sendHook(
  peer: RawPeer,
  path: string,
  body: Buffer,
  { chunk, fields = [] }: { readonly chunk?: number | undefined; readonly fields?: readonly string[] } = {},
): Promise<number | undefined> {
  const socket = await openRaw(peer);
  const reading = readRaw(socket, PATIENCE_MS);
  const framing = chunk === undefined ? `Content-Length: ${body.length}` : "Transfer-Encoding: chunked";
  // One listener for all of a body's pieces.
  let more = Promise.withResolvers<void>();
  for (const event of ["drain", "close"]) socket.on(event, () => more.resolve());
  const room = () => (more = Promise.withResolvers<void>()).promise;
  const head = rawRequest(`POST /hooks/${path}`, ["Host: edge", "Connection: close", framing, ...fields]);
  const write = async (bytes: Buffer | string) => {
    if (!socket.write(bytes, "latin1") && !socket.destroyed) await room();
  };
  await write(head);
  if (chunk === undefined) await write(body);
  else {
    for (let at = 0; at < body.length; at += chunk) {
      const piece = body.subarray(at, at + chunk);
      await write(`${piece.length.toString(16)}\r\n`);
      await write(piece);
      await write("\r\n");
    }
    await write("0\r\n\r\n");
  }
  return parseAnswers(await reading)[0]?.status;
}
