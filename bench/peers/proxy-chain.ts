import { Server } from "proxy-chain";

const [host = "", port = ""] = process.argv.slice(2);
await new Server({ host, port: Number(port) }).listen();
