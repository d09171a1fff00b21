/** What a program asks of the peer: the first line of a connection, JSON. */
export interface Order {
  /**
   * `take`: takes all, then tells how much it was and its hash, and ends. `send`: sends `bytes` and ends at once,
   * and takes what comes. `hold`: answers the line and keeps the connection. `stall`: reads nothing until it is told to.
   */
  readonly what: "take" | "send" | "hold" | "stall";
  /** Names the connection for whoever asks about it. */
  readonly name: string;
  readonly bytes?: number;
}

/** What became of a connection. */
export interface Seen {
  readonly name: string;
  /** The address that it came from. */
  readonly from: string;
  readonly received: number;
  /** Hash of what came behind the first line. */
  readonly receivedHash: string;
  /** Bytes that the network has taken from the peer. */
  readonly sent: number;
  readonly sentHash: string;
  /** Whether the other side's FIN has come. */
  readonly finished: boolean;
  /** Whether it is closed, both ways. */
  readonly closed: boolean;
  /** Why, where it broke. */
  readonly error?: string;
}

/** What the tests ask of the peer's process. */
export type Question =
  /** The connection of this name: `Seen`, or nothing. */
  | { readonly what: "seen"; readonly name: string }
  /** How many are open: a number. */
  | { readonly what: "open" }
  /** Lets a stalled one read. */
  | { readonly what: "go"; readonly name: string };
