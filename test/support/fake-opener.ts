import { RelayError } from "../../protocol/errors.ts";
import { openDirect } from "../../cli/agent/proxy/direct.ts";
import type { Opener } from "../../client/node/opener.ts";

/** An opener that knows its hosts by name and dials them on this machine; it remembers what it was asked for. */
export interface FakeOpener {
  readonly open: Opener;
  /** `host:port`, one for each call. */
  readonly asked: string[];
  /** What the next calls reject with, whatever they ask for. */
  failWith(error: RelayError | undefined): void;
}

/** @param hosts the port on 127.0.0.1 for each `host:port` that there is */
export function fakeOpener(hosts: Readonly<Record<string, number>>): FakeOpener {
  const asked: string[] = [];
  let failure: RelayError | undefined;
  return {
    asked,
    failWith: (error) => (failure = error),
    open: async ({ host, port, signal }) => {
      const authority = `${host}:${port}`;
      asked.push(authority);
      if (failure !== undefined) throw failure;
      const local = hosts[authority];
      if (local === undefined) {
        throw new RelayError("target_not_allowed", `tcp://${authority} is not allowed`);
      }
      return openDirect({ host: "127.0.0.1", port: local, ...(signal !== undefined && { signal }) });
    },
  };
}
