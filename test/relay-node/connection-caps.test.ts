import { Socket } from "node:net";
import { expect, test } from "vitest";
import { ConnectionCaps } from "../../relay-node/connection-caps.ts";

/** How many connections one sender may have. */

function connectionFrom(remoteAddress: string): Socket {
  return Object.defineProperty(new Socket(), "remoteAddress", { value: remoteAddress });
}

test.each([
  ["one address", ["192.0.2.1", "192.0.2.1", "192.0.2.1"], [true, true, false]],
  ["several addresses", ["192.0.2.1", "192.0.2.2", "192.0.2.3"], [true, true, true]],
  ["one, in two spellings", ["192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1"], [true, true, false]],
  // Whoever has one address of it has all.
  ["an IPv6 network of 64 bits", ["2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff::3"], [true, true, false]],
  ["several such networks", ["2001:db8::1", "2001:db8:0:1::1", "2001:db8:0:2::1"], [true, true, true]],
])("%s", (_what, addresses, admitted) => {
  const caps = new ConnectionCaps({ perAddress: 2, inAll: 10 });
  const sockets = addresses.map(connectionFrom);
  expect(sockets.map((socket) => caps.admit(socket))).toEqual(admitted);
  expect(sockets.map(({ destroyed }) => !destroyed)).toEqual(admitted);
  for (const socket of sockets) socket.destroy();
});
