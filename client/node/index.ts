/**
 * What an app on Node imports to let its TCP connections leave from a fixed address.
 *
 * @example
 * import { createSockets } from "holdfast/node";
 * const socket = createSockets(process.env.HOLDFAST_URL).connect({ host: "db.example.com", port: 5432 });
 */
export { createSockets, type ConnectOptions, type Sockets, type SocketsOptions } from "./sockets.ts";
export { RelaySocket, type RelaySocketOptions } from "./relay-socket.ts";
export { createAgent, createHttpAgent } from "./agents.ts";
export { createDispatcher, type DispatcherAgentOptions } from "./dispatcher.ts";
export { mailSocket, type MailSocketRequest } from "./mail.ts";
export { type MongoProxy, type MongoProxyOptions, startMongoProxy } from "./mongo.ts";
export { mysqlStream, type MysqlStreamRequest } from "./mysql.ts";
export { pgStream } from "./pg.ts";
export { redisConnector } from "./redis.ts";
export { type Via } from "./via.ts";
export type { IdentityOptions, IdentityToken } from "../platforms/options.ts";
export { type ErrorCode, isRelayError, type Reached, RelayError } from "../../protocol/errors.ts";
