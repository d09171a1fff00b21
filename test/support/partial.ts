/** The heads of answers by how their bodies are framed; the one with a length is of 100 bytes. */
export const HEADS = {
  length: "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n",
  chunked: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
  close: "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
} as const;

/** The first bytes of such a body. */
export const part = (framing: keyof typeof HEADS) => (framing === "chunked" ? "6\r\na part\r\n" : "a part");
