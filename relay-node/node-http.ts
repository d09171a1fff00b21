/**
 * node:http, but not by an import: that reads all its names, and with `WebSocket` among them comes Node's own fetch, some 11 MB of
 * memory in each node, which none of it uses.
 */
export const { createServer, request, STATUS_CODES } = process.getBuiltinModule("node:http");
