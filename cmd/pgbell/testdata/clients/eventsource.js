// Follows by server-sent events and tells what it hears in lines of JSON.
import { EventSource } from "eventsource";

const [url, token] = process.argv.slice(2);
const events = new EventSource(url + "/api/events", {
  fetch: (input, init) => fetch(input, { ...init, headers: { ...init.headers, Authorization: `Bearer ${token}` } }),
});
const names = ["authenticated", "booking_update", "notification", "notifications_read", "reset", "error", "auth_error"];
for (const event of names) {
  events.addEventListener(event, ({ data }) => {
    if (data) process.stdout.write(JSON.stringify({ event, data: JSON.parse(data) }) + "\n");
  });
}
