/** What a parser read, and how many bytes it took. */
export interface Read<T> {
  readonly value: T;
  readonly length: number;
}

/** Where bytes come from: a socket of Node's is one. */
export interface ByteSource {
  /** What has come; null where nothing has. */
  read(): Uint8Array | null;
  /** Nothing more will come, and all of it was read. */
  readonly readableEnded: boolean;
  readonly destroyed: boolean;
  on(event: "readable" | "end" | "close", listener: () => void): unknown;
  off(event: "readable" | "end" | "close", listener: () => void): unknown;
}

/**
 * Reads whole messages from a connection, one after the other, and keeps what came behind them. It holds no more than one
 * message and what the connection's own buffer held.
 */
export class MessageReader {
  readonly #source: ByteSource;
  readonly #ended: () => Error;
  #bytes: Uint8Array = new Uint8Array();

  /** @param ended makes the error for a connection that ends before a message does */
  constructor(source: ByteSource, ended: () => Error) {
    this.#source = source;
    this.#ended = ended;
  }

  /**
   * @param parse undefined: more bytes are needed
   * @throws what `ended` makes, or what `parse` throws
   */
  async read<T>(parse: (bytes: Uint8Array) => Read<T> | undefined): Promise<T> {
    for (;;) {
      const read = parse(this.#bytes);
      if (read !== undefined) {
        this.#bytes = this.#bytes.subarray(read.length);
        return read.value;
      }
      const chunk = this.#source.read();
      if (chunk === null) await this.#more();
      else this.#bytes = joined(this.#bytes, chunk);
    }
  }

  /** What came behind the last message. */
  get rest(): Uint8Array {
    return this.#bytes;
  }

  #more(): Promise<void> {
    const source = this.#source;
    const isOver = () => source.readableEnded || source.destroyed;
    return new Promise((resolve, reject) => {
      if (isOver()) return reject(this.#ended());
      const settle = () => {
        for (const event of ["readable", "end", "close"] as const) source.off(event, settle);
        if (isOver()) reject(this.#ended());
        else resolve();
      };
      for (const event of ["readable", "end", "close"] as const) source.on(event, settle);
    });
  }
}

function joined(one: Uint8Array, two: Uint8Array): Uint8Array {
  if (one.length === 0) return two;
  const both = new Uint8Array(one.length + two.length);
  both.set(one);
  both.set(two, one.length);
  return both;
}
