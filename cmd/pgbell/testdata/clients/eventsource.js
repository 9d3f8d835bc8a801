// Follows by server-sent events and tells what it hears in lines of JSON.
import { EventSource } from "eventsource";

const [url, token] = process.argv.slice(2);
const events = new EventSource(url + "/api/events", {
  fetch: (input, init) => fetch(input, { ...init, headers: { ...init.headers, Authorization: `Bearer ${token}` } }),
});
for (const event of ["authenticated", "booking_update", "reset", "error", "auth_error"]) {
  events.addEventListener(event, ({ data }) => {
    if (data) process.stdout.write(JSON.stringify({ event, data: JSON.parse(data) }) + "\n");
  });
}
