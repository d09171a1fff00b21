import { connect } from "node:net";
import { type ErrorCode, RelayError } from "../../../protocol/errors.ts";
import { DIRECT_CONNECT_MS } from "../limits.ts";
import type { Opener } from "../../../client/node/opener.ts";

const CODES: Readonly<Record<string, ErrorCode>> = {
  ENOTFOUND: "dns_failed",
  EAI_AGAIN: "dns_timeout",
  ECONNREFUSED: "connect_refused",
  ETIMEDOUT: "connect_timeout",
};

/** Connects from this machine itself, past the relay, as the program would have done. */
export const openDirect: Opener = ({ host, port, signal }) =>
  new Promise((resolve, reject) => {
    const socket = connect({ host, port, allowHalfOpen: true, noDelay: true });
    const fail = (code: ErrorCode, why: string, cause?: unknown) => {
      settle();
      socket.on("error", () => {}).destroy();
      reject(
        new RelayError(code, `${host} port ${port}, dialled from this machine: ${why}`, {
          cause,
          reached: "no",
        }),
      );
    };
    const timer = setTimeout(
      () => fail("connect_timeout", `no connection within ${DIRECT_CONNECT_MS / 1_000} s`),
      DIRECT_CONNECT_MS,
    );
    const onError = (error: NodeJS.ErrnoException) => {
      const { code = "no code" } = error;
      fail(CODES[code] ?? "connect_failed", code, error);
    };
    const onAbort = () => fail("connect_failed", "the program gave it up");
    const settle = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      socket.off("error", onError);
    };
    socket.on("error", onError);
    socket.once("connect", () => {
      settle();
      resolve(socket);
    });
    signal?.addEventListener("abort", onAbort, { once: true });
    if (signal?.aborted === true) onAbort();
  });
