import axios from "axios";

const { protocol, hostname, port, username, password } = new URL(process.env.PROXY_URL);
const { data } = await axios.get(process.argv[2], {
  proxy: { protocol, host: hostname, port, auth: { username, password } },
});
console.log(JSON.stringify(data));
