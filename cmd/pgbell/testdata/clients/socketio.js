// Follows by Socket.IO, as any dashboard would, and tells what it hears in lines
// of JSON. It neither sorts nor drops anything.
//
//	node socketio.js URL TOKEN WAY TRANSPORT…
//
// WAY is how the token is brought: auth, header or event.
import { io } from "socket.io-client";

const [url, token, way, ...transports] = process.argv.slice(2);
const tell = (heard) => process.stdout.write(JSON.stringify(heard) + "\n");

const ways = {
  auth: { auth: { token } },
  header: { extraHeaders: { Authorization: `Bearer ${token}` } },
  event: {},
};
const socket = io(url, { transports, reconnectionDelay: 50, reconnectionDelayMax: 200, ...ways[way] });
socket.on("connect", () => {
  tell({ event: "connect", recovered: socket.recovered });
  if (way === "event") socket.emit("authenticate", { token }, (data) => tell({ event: "ack", data }));
});
socket.on("connect_error", (err) => err.data && tell({ event: "connect_error", data: err.data }));
socket.onAny((event, data) => tell({ event, data }));
socket.io.on("open", () => socket.io.engine.on("upgrade", () => tell({ event: "upgrade" })));
