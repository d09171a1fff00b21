import { ProxyAgent, request } from "undici";

const dispatcher = new ProxyAgent(process.env.PROXY_URL);
const { statusCode, statusText, body } = await request(process.argv[2], { dispatcher });
const text = await body.text();
if (statusCode !== 200) throw new Error(`${statusCode} ${statusText} ${text}`);
console.log(text);
await dispatcher.close();
