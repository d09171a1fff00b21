import axios from "axios";
import { HttpsProxyAgent } from "https-proxy-agent";

const httpsAgent = new HttpsProxyAgent(process.env.PROXY_URL);
// axios's own reading of proxies stays out of it.
const api = axios.create({ httpsAgent, proxy: false, timeout: 30_000 });

const { data } = await api.get(process.argv[2]);
console.log(JSON.stringify(data));
