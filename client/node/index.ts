/**
 * What an app on Node imports to let its TCP connections leave from a fixed address.
 *
 * @example
 * import { createSockets } from "holdfast/node";
 * const socket = createSockets(process.env.HOLDFAST_URL).connect({ host: "db.example.com", port: 5432 });
 */
export { createSockets, type ConnectOptions, type Sockets, type SocketsOptions } from "./sockets.ts";
export { RelaySocket, type RelaySocketOptions } from "./relay-socket.ts";
export { type ErrorCode, isRelayError, type Reached, RelayError } from "../../protocol/errors.ts";
