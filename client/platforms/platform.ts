import { RelayError } from "../../protocol/errors.ts";
import type { Environment } from "./environment.ts";

/** What a token is asked for with. */
export interface TokenAsk {
  readonly env: Environment;
  /** Whom the token is to be for: the edge's origin. */
  readonly audience: string;
  /** Ends every question. */
  readonly signal: AbortSignal;
}

/** Where a workload gets a token that says what it is. */
export interface Platform {
  /** What messages call it. */
  readonly title: string;
  /** What it is known by, for the message where there is none. */
  readonly knownBy: string;
  /** Whether this is it, by environment and files alone: nobody is asked over the network. */
  readonly isHere: (env: Environment) => boolean;
  /** Gets the token. Rejects with a RelayError `platform_token_failed`. */
  readonly token: (ask: TokenAsk) => Promise<string>;
}

/** What goes wrong on the way to a platform's token. No word of any token or secret may stand in `why`. */
export function platformFailure(why: string, cause?: unknown): RelayError {
  return new RelayError("platform_token_failed", why, { cause });
}
