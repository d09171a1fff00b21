import axios from "axios";
import { HttpsProxyAgent } from "https-proxy-agent";

const agent = new HttpsProxyAgent(process.env.PROXY_URL);
// Both, or an http:// URL would go past the proxy. axios's own reading of proxies stays out of it.
const api = axios.create({ httpAgent: agent, httpsAgent: agent, proxy: false, timeout: 30_000 });

try {
  const { data } = await api.get(process.argv[2]);
  console.log(JSON.stringify(data));
} catch (error) {
  // Not the error as a whole: it holds the agent, and with it the proxy's URL and password.
  const { status, statusText, data } = error.response ?? {};
  console.error(status === undefined ? error.message : `${status} ${statusText}\n${JSON.stringify(data)}`);
  process.exitCode = 1;
}
