// node load.js <url> <clients> <messages>: clients that echo, all at once; prints what they counted.
import { io } from "socket.io-client";

const [url, clients, messages] = process.argv.slice(2);
const counted = { connects: 0, sent: 0, received: 0, disconnects: 0 };

const one = () => new Promise((done) => {
  const socket = io(url, { transports: ["websocket"], forceNew: true, reconnection: false });
  let left = Number(messages);
  const say = () => { counted.sent += 1; socket.emit("echo", "x".repeat(64)); };
  socket.on("connect", () => { counted.connects += 1; say(); });
  socket.on("echo", () => {
    counted.received += 1;
    left -= 1;
    if (left) say(); else socket.disconnect();
  });
  socket.on("disconnect", () => { counted.disconnects += 1; done(); });
  socket.on("connect_error", done);
});

await Promise.all(Array.from({ length: Number(clients) }, one));
console.log(JSON.stringify(counted));
