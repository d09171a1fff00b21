/** RFC 9112 section 3, for the versions that are served. */
const START_LINE = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+ [\x21-\x7e]+ HTTP\/1\.[01]\r$/;

/** Behind the head of a request with one of these come other bytes than the next request's. */
const BODY = /^(content-length|transfer-encoding|upgrade):/i;

/**
 * Reads along what a connection's peer sends, for what Node's HTTP parser takes and tells nobody of: several spaces in a request's
 * first line, stray line ends before it, other protocols than HTTP. Where a body ends is the parser's to say: `next` tells
 * it, and what is sent behind a body in one go with its end is not looked at.
 */
export class StartLines {
  #isStrict = true;
  #state: "start" | "head" | "body" = "start";
  /** What came of a line that is not whole. */
  #part = "";
  #hasBody = false;
  #hasBlank = false;

  /** Whether all first lines were as they have to be. */
  get isStrict(): boolean {
    return this.#isStrict;
  }

  push(chunk: Buffer): void {
    let at = 0;
    while (this.#isStrict && this.#state !== "body" && at < chunk.length) {
      const end = chunk.indexOf(10, at);
      this.#part += chunk.toString("latin1", at, end === -1 ? chunk.length : end);
      if (end === -1) return;
      at = end + 1;
      const line = this.#part;
      this.#part = "";
      this.#line(line);
    }
  }

  /** The last message is whole: what comes next begins another one. */
  next(): void {
    if (this.#state !== "body") return;
    this.#state = "start";
  }

  #line(line: string): void {
    if (this.#state === "start") {
      // One empty line may stand before a request: old clients end a body with it (RFC 9112 section 2.2).
      if (line === "\r" && !this.#hasBlank) {
        this.#hasBlank = true;
        return;
      }
      this.#isStrict = START_LINE.test(line);
      this.#state = "head";
      this.#hasBody = line.startsWith("CONNECT ");
      this.#hasBlank = false;
    } else if (line === "\r") this.#state = this.#hasBody ? "body" : "start";
    else if (BODY.test(line)) this.#hasBody = true;
  }
}
