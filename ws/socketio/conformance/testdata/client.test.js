// What socket.io-client does against this server, over each transport. The Go
// test beside starts the server and runs this file with node.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { io, Manager } from "socket.io-client";

const url = process.env.SERVER_URL;

const ways = {
  "websocket": { transports: ["websocket"] },
  "polling": { transports: ["polling"] },
  "polling, then websocket": { transports: ["polling", "websocket"] },
};

// next waits for an event and gives its arguments.
const next = (emitter, event) => new Promise((resolve) => emitter.once(event, (...args) => resolve(args)));

for (const [way, transport] of Object.entries(ways)) {
  // connected runs a test with a socket, and ends it.
  const connected = (path, options, test) => async () => {
    const socket = io(url + path, { forceNew: true, reconnectionDelay: 10, ...transport, ...options });
    try {
      await test(socket);
    } finally {
      socket.disconnect();
    }
  };

  describe(way, { concurrency: 4, timeout: 30_000 }, () => {
    it("connects and gives the socket the server's ID", connected("/", {}, async (socket) => {
      assert.equal(await socket.emitWithAck("getId"), socket.id);
      assert.notEqual(socket.id, socket.io.engine.id);
      assert.equal(socket.recovered, false);
    }));

    it("keeps the order of many events", connected("/", {}, async (socket) => {
      const answers = await Promise.all(Array.from({ length: 500 }, (_, i) => socket.emitWithAck("echo", i)));
      assert.deepEqual(answers, Array.from({ length: 500 }, (_, i) => i));
    }));

    it("keeps every kind of value", connected("/", {}, async (socket) => {
      for (const value of ["", "текст 🔑 <&>\u2028", 0, -1.5e300, true, null, [], {}, { a: [1, { b: null }] }, "x".repeat(100_000)]) {
        assert.deepEqual(await socket.emitWithAck("echo", value), value);
      }
    }));

    it("carries binary data both ways, at any depth", connected("/", {}, async (socket) => {
      const value = { first: Buffer.from([0, 1, 255]), rest: [{ deep: Buffer.from("bytes") }, Buffer.alloc(70_000, 7)] };
      assert.deepEqual(await socket.emitWithAck("echo", value), value);
      socket.emit("doge");
      assert.deepEqual(await next(socket, "doge").then(([data]) => data), Buffer.from("asdfasdf"));
    }));

    it("acknowledges what the server asks", connected("/", {}, async (socket) => {
      socket.on("ack", (answer) => answer(5, { test: true }));
      socket.emit("ack");
      await next(socket, "got it");
    }));

    it("tells the handshake", connected("/abc", { query: { "&a": "&=?a" }, auth: { token: "t" } }, async (socket) => {
      const [handshake] = await next(socket, "handshake");
      assert.equal(handshake.query["&a"], "&=?a");
      assert.equal(handshake.auth.token, "t");
    }));

    it("tells why a namespace is closed", async (t) => {
      const manager = new Manager(url, { reconnectionDelay: 10, ...transport });
      t.after(() => manager._close());
      for (const [name, message] of [["/no", "Auth failed (custom namespace)"], ["/nowhere", "Invalid namespace"]]) {
        const [err] = await next(manager.socket(name), "connect_error");
        assert.equal(err.message, message);
      }
      const foo = manager.socket("/foo"); // the connection is still good
      await next(foo, "connect");
    });

    it("leaves one namespace and keeps another", async (t) => {
      const manager = new Manager(url, { ...transport });
      t.after(() => manager._close());
      const [main, foo] = [manager.socket("/"), manager.socket("/foo")];
      await Promise.all([next(main, "connect"), next(foo, "connect")]);
      foo.disconnect();
      assert.equal(await main.emitWithAck("echo", "here"), "here");
      foo.connect();
      await next(foo, "connect");
    });

    it("recovers after its connection broke", connected("/", {}, async (socket) => {
      socket.emit("hi");
      await next(socket, "hi");
      const id = socket.id;
      for (let i = 0; i < 3; i++) {
        socket.io.engine.close();
        await next(socket, "connect");
        assert.equal(socket.recovered, true);
        assert.equal(socket.id, id);
        assert.equal(await socket.emitWithAck("getId"), id);
      }
    }));

    it("does not recover after it left", connected("/", {}, async (socket) => {
      socket.emit("hi");
      await next(socket, "hi");
      const id = socket.id;
      socket.disconnect();
      socket.connect();
      await next(socket, "connect");
      assert.equal(socket.recovered, false);
      assert.notEqual(socket.id, id);
    }));

    it("stays while nothing happens", connected("/", {}, async (socket) => {
      await next(socket, "connect");
      let pings = 0;
      await new Promise((resolve) => socket.io.on("ping", () => ++pings === 2 && resolve()));
      assert.equal(socket.connected, true);
    }));
  });
}

it("moves from polling to websocket and loses nothing", { timeout: 30_000 }, async () => {
  const socket = io(url, { forceNew: true });
  try {
    const sent = [];
    const answers = [];
    let moved = false;
    socket.io.engine.once("upgrade", () => { moved = true; });
    for (let i = 0; !moved || i % 100; i++) {
      sent.push(i);
      socket.emit("echo", i, (n) => answers.push(n));
      await new Promise((resolve) => setTimeout(resolve, 2)); // the server takes 1000 a second
    }
    await socket.emitWithAck("echo", "last");
    assert.deepEqual(answers, sent);
    assert.equal(socket.io.engine.transport.name, "websocket");
  } finally {
    socket.disconnect();
  }
});
