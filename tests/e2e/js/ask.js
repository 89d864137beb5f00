// node ask.js <client> <url> <options> <event> <data> <awaited>: connects, emits an event with an acknowledgement, waits
// for that and for an event of the awaited name, leaves; prints both.
const [client, url, options, event, data, awaited] = process.argv.slice(2);
const { io } = await import(client);

const socket = io(url, { reconnection: false, forceNew: true, ...JSON.parse(options) });
const told = new Promise((resolve) => socket.on(awaited, resolve));
const acknowledged = new Promise((resolve, reject) => {
  socket.on("connect_error", reject);
  socket.on("connect", () => {
    socket.timeout(20000).emit(event, JSON.parse(data), (error, answer) => (error ? reject(error) : resolve(answer)));
  });
});
const answer = await acknowledged;
console.log(JSON.stringify({ answer, told: await told }));
socket.disconnect();
