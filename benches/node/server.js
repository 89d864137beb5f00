// The same service on Node's Socket.IO.
const { createServer } = require("node:http");
const { Server } = require("socket.io");

const http = createServer();
const io = new Server(http);
io.on("connection", (socket) => {
  socket.on("echo", (data) => socket.emit("echo", data));
  socket.on("broadcast", (data) => io.emit("news", data));
});
http.listen(0, "127.0.0.1", () => console.log(`Listening at: http://127.0.0.1:${http.address().port}`));
process.on("SIGTERM", () => process.exit(0));
